//! The document: what is exchanged in it, and that nothing else is.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn rule(id: &str, days: u32) -> LifecycleRule {
    LifecycleRule {
        id: id.to_owned(),
        is_enabled: true,
        prefix: "backups/".to_owned(),
        expires_days: Some(days),
        ..LifecycleRule::default()
    }
}

fn is_ours(rule: &LifecycleRule) -> bool {
    rule.id.starts_with("ours/")
}

fn read(text: &str) -> LifecycleDocument {
    LifecycleDocument::read(text.to_owned(), None).unwrap()
}

/// A rule of somebody else's in every odd way of writing.
const FOREIGN: &str = "<Rule  a='1' ><!-- by hand --><Status>Enabled</Status>\n<ID>theirs &amp; <![CDATA[<co>]]></ID>\
    <Filter><And><Prefix>lo&#x67;s/</Prefix><Tag><Key>k</Key><Value/></Tag></And></Filter><Expiration><Days> 9</Days></Expiration>\
    <NotYetKnown xmlns:n=\"u\"><n:Deep>7</n:Deep></NotYetKnown></Rule >";

/// What a change of the rules makes of a document.
struct Golden {
    before: String,
    wanted: Vec<LifecycleRule>,
    after: String,
}

#[test]
fn only_what_is_ours_is_exchanged() {
    let ours = |id: &str, days: u32| {
        format!(
            "<Rule><ID>{id}</ID><Filter><Prefix>backups/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>{days}</Days></Expiration></Rule>"
        )
    };
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LifecycleConfiguration xmlns=\"u\">";
    let end = "</LifecycleConfiguration>\n";
    let (a, b) = (ours("ours/a", 5), ours("ours/b", 6));
    let cases = [
        // Into a document with others: at its end.
        Golden {
            before: format!("{head}\n {FOREIGN}\n{end}"),
            wanted: vec![rule("ours/a", 5), rule("ours/b", 6)],
            after: format!("{head}\n {FOREIGN}\n{a}{b}{end}"),
        },
        // What is there already stays where it is, in its own way of writing.
        Golden {
            before: format!(
                "{head}<Rule><Status>Enabled</Status> <ID>ours/a</ID><Prefix>backups/</Prefix><Expiration><Days>5</Days></Expiration></Rule>{FOREIGN}{end}"
            ),
            wanted: vec![rule("ours/a", 5)],
            after: format!(
                "{head}<Rule><Status>Enabled</Status> <ID>ours/a</ID><Prefix>backups/</Prefix><Expiration><Days>5</Days></Expiration></Rule>{FOREIGN}{end}"
            ),
        },
        // What says something else is exchanged in its place, and what is not wanted any more goes.
        Golden {
            before: format!(
                "{head}{}{FOREIGN} {}\t{}{end}",
                ours("ours/a", 4),
                ours("ours/c", 1),
                ours("ours/a", 3)
            ),
            wanted: vec![rule("ours/a", 5)],
            after: format!("{head}{a}{FOREIGN} \t{end}"),
        },
        Golden {
            before: format!("{head}{a}{FOREIGN}{b}<Other/>{end}"),
            wanted: Vec::new(),
            after: format!("{head}{FOREIGN}<Other/>{end}"),
        },
        // A single tag, and names with the prefix of a namespace.
        Golden {
            before: "<LifecycleConfiguration x='1' />".to_owned(),
            wanted: vec![rule("ours/a", 5)],
            after: format!("<LifecycleConfiguration x='1' >{a}{}", end.trim_end()),
        },
        Golden {
            before: "<s:LifecycleConfiguration xmlns:s='u'/>".to_owned(),
            wanted: vec![rule("ours/a", 5)],
            after: format!(
                "<s:LifecycleConfiguration xmlns:s='u'>{}</s:LifecycleConfiguration>",
                a.replace("</", "\0").replace('<', "<s:").replace('\0', "</s:")
            ),
        },
    ];
    for case in cases {
        let after = read(&case.before).with(is_ours, &case.wanted).unwrap();
        assert_eq!(after.text(), case.after);
        // Done again, nothing changes.
        assert_eq!(after.with(is_ours, &case.wanted).unwrap().text(), case.after);
        let left: Vec<_> = after.rules().filter(|rule| is_ours(rule)).cloned().collect();
        assert_eq!(left, case.wanted);
    }
    let fresh = LifecycleDocument::empty().with(is_ours, &[rule("ours/a", 5)]).unwrap();
    assert_eq!(fresh.rules().collect::<Vec<_>>(), [&rule("ours/a", 5)]);
    assert_eq!(
        fresh.with(is_ours, &[]).unwrap().text(),
        LifecycleDocument::empty().text()
    );
}

#[test]
fn what_is_no_lifecycle_is_refused() {
    for text in [
        "",
        "<ListBucketResult/>",
        "<LifecycleConfiguration>",
        "<!DOCTYPE x><LifecycleConfiguration/>",
    ] {
        assert!(LifecycleDocument::read(text.to_owned(), None).is_err(), "{text}");
    }
    let large = format!(
        "<LifecycleConfiguration>{}</LifecycleConfiguration>",
        " ".repeat(9 << 20)
    );
    assert!(LifecycleDocument::read(large, None).is_err());
}

#[test]
fn what_was_written_is_compared_with_what_is_there() {
    let document = |rules: &str| read(&format!("<LifecycleConfiguration>{rules}</LifecycleConfiguration>"));
    let foreign = "<Rule><ID>f</ID><Status>Enabled</Status><X>1</X></Rule>";
    let ours = rule("ours/a", 5).to_xml("");
    let written = document(&format!("{foreign}{ours}"));
    let found = |rules: &str| written.deviations(&document(rules), is_ours);
    // The order, and the way of writing, do not count; of ours not even where the prefix stands.
    assert_eq!(found(&format!("{ours}\n{foreign}")), []);
    let old_form = "<Rule><Prefix>backups/</Prefix><Expiration><Days>5</Days></Expiration><ID>ours/a</ID><Status>Enabled</Status></Rule>";
    assert_eq!(found(&format!("{old_form}{foreign}")), []);
    let id = |id: &str| id.to_owned();
    assert_eq!(found(foreign), [Deviation::Missing(id("ours/a"))]);
    assert_eq!(
        found(&format!("{foreign}{ours}{ours}")),
        [Deviation::Unexpected(id("ours/a"))]
    );
    let other = rule("ours/a", 6).to_xml("");
    assert_eq!(
        found(&format!("{foreign}{other}")),
        [Deviation::Different(id("ours/a"))]
    );
    // What this version does not understand counts too, where it is somebody else's.
    let without = foreign.replace("<X>1</X>", "");
    assert_eq!(found(&format!("{without}{ours}")), [Deviation::Different(id("f"))]);
    let new = "<Rule><ID>new</ID><Status>Enabled</Status></Rule>";
    assert_eq!(
        found(&format!("{foreign}{ours}{new}")),
        [Deviation::Unexpected(id("new"))]
    );
}

/// A foreign rule of any content, as text.
fn foreign_rule() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z ]{0,6}",
        Just("&amp;".to_owned()),
        Just("&#x3c;".to_owned()),
        Just("<![CDATA[</Rule>]]>".to_owned()),
        Just("<!-- <Rule> -->".to_owned()),
        Just("\r\n\t".to_owned()),
        Just("<?pi </Rule>?>".to_owned()),
        Just("ä\u{1f5c4}".to_owned()),
    ];
    let text = prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat());
    let element = (
        prop::sample::select(vec!["Filter", "Rule", "Status", "Zz", "n:Q"]),
        text.clone(),
    )
        .prop_map(|(name, text)| format!("<{name} xmlns:n='u' >{text}</{name}\n>"));
    (text, prop::collection::vec(element, 0..4), "[a-z]{0,5}")
        .prop_map(|(text, elements, id)| format!("<Rule ><ID>{id}</ID>{text}{}</Rule\t>", elements.concat()))
}

fn own_rules() -> impl Strategy<Value = Vec<LifecycleRule>> {
    let one = ("[abc]", 1..9_u32).prop_map(|(name, days)| rule(&format!("ours/{name}"), days));
    prop::collection::vec(one, 0..4).prop_map(|mut rules| {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        rules.dedup_by(|a, b| a.id == b.id);
        rules
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn rules_of_others_stay_to_the_byte_whatever_is_done(
        foreign in prop::collection::vec(foreign_rule(), 0..5),
        gap in "[ \n]{0,3}",
        first in own_rules(),
        second in own_rules(),
    ) {
        let text = format!("<LifecycleConfiguration xmlns='u'>{gap}{}{gap}</LifecycleConfiguration>", foreign.join(&gap));
        let before = read(&text);
        let theirs = |document: &LifecycleDocument| -> Vec<String> {
            let others = document.rule_texts().filter(|(rule, _)| !is_ours(rule));
            others.map(|(_, text)| text.to_owned()).collect()
        };
        prop_assert_eq!(theirs(&before), foreign.clone());
        let applied = before.with(is_ours, &first).unwrap();
        prop_assert_eq!(theirs(&applied), foreign.clone());
        // Ours are there, and doing it again changes nothing.
        let ours: Vec<_> = applied.rules().filter(|rule| is_ours(rule)).cloned().collect();
        prop_assert_eq!(&ours, &first);
        let again = applied.with(is_ours, &first).unwrap();
        prop_assert_eq!(again.text(), applied.text());
        // Taking ours away gives back what was there, also after a change of mind.
        let changed = applied.with(is_ours, &second).unwrap();
        prop_assert_eq!(theirs(&changed), foreign);
        prop_assert!(changed.deviations(&changed, is_ours).is_empty());
        let removed = changed.with(is_ours, &[]).unwrap();
        prop_assert_eq!(removed.text(), text.as_str());
    }

    #[test]
    fn no_answer_of_a_server_is_too_much(text in "(<|>|/|Rule|LifecycleConfiguration| |&|;|a|\"|=|!|\\[|-){0,40}") {
        let _ = LifecycleDocument::read(text, None);
    }
}

#[test]
fn text_around_the_elements_is_no_document() {
    let rules = "<?xml version=\"1.0\"?>*<LifecycleConfiguration></LifecycleConfiguration>";
    assert!(LifecycleDocument::read(rules.to_owned(), None).is_err());
    assert!(LifecycleDocument::read(rules.replace('*', "\n"), None).is_ok());
    assert!(LifecycleDocument::read(format!("{} x", rules.replace('*', "")), None).is_err());
}
