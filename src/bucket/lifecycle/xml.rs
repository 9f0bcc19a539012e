//! XML as a tree of elements that know where they stand in the text, so that what is not to be changed stays as it is.

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_xml_entity};
use quick_xml::events::{BytesStart, Event};

/// How deep elements may lie in one another: those of a rule go four deep, and what compares them calls itself.
const DEPTH_MAX: usize = 64;

/// One element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// Its name without the prefix of a namespace.
    pub(super) name: String,
    /// The prefix of its namespace with its colon; empty for none.
    pub(super) prefix: String,
    /// Where it stands in the text, from the first `<` to the last `>`.
    pub(super) span: Range<usize>,
    /// Where its end tag begins; `None` of an element that is a single tag.
    pub(super) content_end: Option<usize>,
    /// Its own text, without that of the elements in it.
    pub(super) text: String,
    /// The elements in it, in order.
    pub(super) children: Vec<Element>,
}

impl Element {
    fn of(tag: &BytesStart<'_>, span: Range<usize>) -> Result<Self, String> {
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes)
                .map(str::to_owned)
                .map_err(|error| error.to_string())
        };
        let name = tag.name();
        Ok(Self {
            name: text(name.local_name().as_ref())?,
            prefix: match name.prefix() {
                Some(prefix) => text(prefix.as_ref())? + ":",
                None => String::new(),
            },
            span,
            content_end: None,
            text: String::new(),
            children: Vec::new(),
        })
    }

    /// The first element in it of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The elements in it of this name.
    pub(super) fn children_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first element in it of this name.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// What the element says, the same for two that differ in white space, comments, ways of writing and the order of what
    /// is in them only.
    pub(super) fn canonical(&self) -> String {
        let mut children: Vec<String> = self.children.iter().map(Self::canonical).collect();
        children.sort();
        // The text of a tag such as a prefix may begin or end with a blank; around elements blanks say nothing.
        let text = match self.children.is_empty() {
            true => self.text.as_str(),
            false => self.text.trim(),
        };
        format!("<{0}>{1}{2}</{0}>", self.name, escape(text), children.concat())
    }
}

/// Reads a document.
///
/// # Errors
/// Why it is none, in the parser's words.
pub(super) fn parse(text: &str) -> Result<Element, String> {
    // The parser passes over a byte order mark without counting it.
    let content = text.strip_prefix('\u{feff}').unwrap_or(text);
    let skipped = text.len() - content.len();
    let mut reader = Reader::from_str(content);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let place =
        |reader: &Reader<&[u8]>| usize::try_from(reader.buffer_position()).map_or(usize::MAX, |at| at + skipped);
    loop {
        let start = place(&reader);
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let end = place(&reader);
        let closed = match event {
            Event::Start(tag) => {
                if open.len() >= DEPTH_MAX {
                    return Err(format!("elements lie more than {DEPTH_MAX} deep in one another"));
                }
                open.push(Element::of(&tag, start..end)?);
                None
            }
            Event::Empty(tag) => Some(Element::of(&tag, start..end)?),
            Event::End(_) => open.pop().map(|mut element| {
                element.content_end = Some(start);
                element.span.end = end;
                element
            }),
            Event::Text(piece) => {
                let piece = piece.decode().map_err(|error| error.to_string())?;
                match open.last_mut() {
                    Some(element) => element.text.push_str(&piece),
                    None if piece.trim().is_empty() => {}
                    None => return Err("there is text around the elements".to_owned()),
                }
                None
            }
            Event::CData(piece) => {
                let piece = piece.decode().map_err(|error| error.to_string())?;
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&piece);
                }
                None
            }
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|error| error.to_string())?;
                let name = reference.decode().map_err(|error| error.to_string())?;
                let element = open.last_mut();
                match (character, resolve_xml_entity(&name), element) {
                    (_, _, None) => {}
                    (Some(character), _, Some(element)) => element.text.push(character),
                    (None, Some(known), Some(element)) => element.text.push_str(known),
                    (None, None, Some(_)) => return Err(format!("nobody says what `&{name};` stands for")),
                }
                None
            }
            // What it would define could make a small text a huge one.
            Event::DocType(_) => return Err("it has a document type".to_owned()),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => None,
            Event::Eof => break,
        };
        let Some(element) = closed else { continue };
        match open.last_mut() {
            Some(parent) => parent.children.push(element),
            None if root.is_none() => root = Some(element),
            None => return Err("there are two documents".to_owned()),
        }
    }
    match (root, open.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err("it ends too early".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_element_knows_where_it_stands() {
        let text = "\u{feff}<?xml version=\"1.0\"?>\n<!-- a --><s3:A xmlns:s3='u'>ä<B x=\"&gt;>\"/> <s3:C>1&amp;<![CDATA[<2>]]>&#x33;</s3:C ></s3:A>\n";
        let root = parse(text).unwrap();
        assert_eq!((root.name.as_str(), root.prefix.as_str()), ("A", "s3:"));
        assert!(text[root.span.clone()].starts_with("<s3:A ") && text[root.span.clone()].ends_with("</s3:A>"));
        assert_eq!(&text[root.content_end.unwrap()..root.span.end], "</s3:A>");
        let spans: Vec<&str> = root.children.iter().map(|child| &text[child.span.clone()]).collect();
        assert_eq!(spans, ["<B x=\"&gt;>\"/>", "<s3:C>1&amp;<![CDATA[<2>]]>&#x33;</s3:C >"]);
        assert_eq!(root.text_of("C"), Some("1&<2>3"));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a>&nobody;</a>",
            "<a>&#x110000;</a>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let deep = "<a>".repeat(10_000) + &"</a>".repeat(10_000);
        assert!(parse(&deep).unwrap_err().contains("deep"));
    }

    #[test]
    fn the_way_of_writing_does_not_count_and_what_is_written_does() {
        let same = |a: &str, b: &str| parse(a).unwrap().canonical() == parse(b).unwrap().canonical();
        assert!(same(
            "<R><A>1</A><B/></R>",
            "<x:R xmlns:x='u'>\n <!-- c --><x:B></x:B> <A>&#49;</A>\n</x:R>"
        ));
        assert!(!same("<R><A>1</A></R>", "<R><A>1 </A></R>"));
        assert!(!same("<R><A>1</A></R>", "<R><A>1</A><A>1</A></R>"));
        assert!(!same("<R><A>&lt;B&gt;</A></R>", "<R><A><B></B></A></R>"));
    }
}
