//! The example configuration, made from the table of settings.

use std::fmt::Write as _;

use super::table::{self, Chapter, Privacy, Spec};

/// Columns of the example's comments.
const WIDTH: usize = 100;

/// The text of `examples/config.toml` and of `config init`: every key, explained, with the built-in values in effect.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# The configuration of backup-cli.\n\
         #\n\
         # A value comes from the first of: a flag, the environment, the profile chosen by --profile, [defaults], built-in.\n\
         # Relative paths start from this file's folder, and ~/ is the home directory. `backup-cli config show` prints every\n\
         # value with its origin, `backup-cli config check` checks this file.\n\
         \n\
         [defaults]\n",
    );
    for chapter in Chapter::ALL {
        let mut specs = table::ALL
            .iter()
            .filter(|spec| spec.in_file && spec.chapter == chapter)
            .peekable();
        if specs.peek().is_none() {
            continue;
        }
        let _ = write!(text, "\n# ---- {} ----\n", chapter.title());
        for spec in specs {
            text.push('\n');
            for line in wrapped(&explanation(spec)) {
                let _ = writeln!(text, "# {line}");
            }
            let _ = writeln!(text, "#{} = {}", spec.key, shown_value(spec));
            if spec.privacy == Privacy::Secret {
                let _ = writeln!(text, "#{}-file = \"/run/credentials/{}\"", spec.key, spec.key);
                let _ = writeln!(text, "#{}-command = [\"pass\", \"show\", \"{}\"]", spec.key, spec.key);
            }
        }
    }
    text.push_str(
        "\n# Profiles: `backup-cli backup --profile www --profile app` makes one backup for each. A profile's name is the name of\n\
         # its series, if it does not set another.\n\
         \n\
         #[profile.www]\n\
         #sources = [\"/srv/www\"]\n\
         #excludes = [\"node_modules/\", \"*.tmp\"]\n\
         \n\
         #[profile.app]\n\
         #sources = [\"postgres://backup@localhost/app\"]\n\
         #tags = [\"nightly\"]\n\
         \n\
         #[profile.mongo]\n\
         #command = [\"mongodump\", \"--archive\"]\n\
         #extension = \"archive\"\n",
    );
    text
}

/// What a setting does and what happens if it is not set.
pub(crate) fn explanation(spec: &Spec) -> String {
    let mut text = spec.doc.to_owned();
    match (spec.default, spec.unset) {
        (Some(default), _) => {
            let _ = write!(text, " Default: {default}.");
        }
        (None, "") => {}
        (None, unset) => {
            let _ = write!(text, " If not set: {unset}.");
        }
    }
    text
}

/// The built-in value where there is one, so that the example shows what is in effect; else the table's.
fn shown_value(spec: &Spec) -> String {
    use super::value::Shape;
    match (spec.default, spec.shape) {
        (Some(default), Shape::Switch | Shape::Integer { .. }) => default.to_owned(),
        (Some(default), _) => format!("\"{default}\""),
        (None, _) => spec.example.to_owned(),
    }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::file::ConfigFile;
    use super::*;
    use std::path::Path;

    #[test]
    fn the_example_is_valid_as_it_stands_and_sets_nothing() {
        let file = ConfigFile::parse(&example(), Path::new("/c.toml")).unwrap();
        assert!(file.defaults.is_empty());
        assert!(file.profiles.is_empty());
    }

    #[test]
    fn every_line_of_the_example_is_valid_by_itself() {
        for line in example().lines().filter_map(|line| line.strip_prefix('#')) {
            if line.is_empty() || line.starts_with(' ') || line.starts_with("[profile.") {
                continue;
            }
            let text = format!("[defaults]\n{line}\n");
            let parsed = ConfigFile::parse(&text, Path::new("/c.toml"));
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
    }

    #[test]
    fn every_key_of_a_file_is_in_the_example() {
        let text = example();
        for spec in table::ALL.iter().filter(|spec| spec.in_file) {
            assert!(text.contains(&format!("\n#{} = ", spec.key)), "{}", spec.key);
        }
    }
}
