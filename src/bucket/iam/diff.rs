//! What differs between two documents, line by line, and whether they mean the same.

use serde_json::Value;

/// Longer texts are shown as wholly different: the table that finds the common lines grows with the square.
const LINES_MAX: usize = 2000;

/// The lines of both texts: with `-` what only the old one has, with `+` what only the new one has, the others with a
/// blank.
#[must_use]
pub fn lines(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > LINES_MAX || new.len() > LINES_MAX {
        let gone = old.iter().map(|line| format!("- {line}"));
        return gone.chain(new.iter().map(|line| format!("+ {line}"))).collect();
    }
    // `common[i][j]` is how many lines the ends from `i` and from `j` on have in common.
    let mut common = vec![vec![0_u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut shown = Vec::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            shown.push(format!("  {}", old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            shown.push(format!("- {}", old[i]));
            i += 1;
        } else {
            shown.push(format!("+ {}", new[j]));
            j += 1;
        }
    }
    shown
}

/// Whether two policies mean the same: the service hands a list of one value back as the value, and lists in any order.
#[must_use]
pub fn same_meaning(one: &Value, other: &Value) -> bool {
    normal(one) == normal(other)
}

fn normal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), normal(value)))
                .collect(),
        ),
        Value::Array(values) => {
            let mut values: Vec<Value> = values.iter().map(normal).collect();
            values.sort_by_key(ToString::to_string);
            match values.len() {
                1 => values.remove(0),
                _ => Value::Array(values),
            }
        }
        Value::Bool(value) => Value::String(value.to_string()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_is_marked() {
        assert_eq!(lines("a\nb\nc", "a\nx\nc\nd"), ["  a", "- b", "+ x", "  c", "+ d"]);
        assert_eq!(lines("", "a"), ["+ a"]);
        assert_eq!(lines("a", "a"), ["  a"]);
    }

    #[test]
    fn a_list_of_one_is_its_value_and_order_is_nothing() {
        assert!(same_meaning(
            &json!({"Statement": [{"Action": ["a", "b"], "Resource": ["r"]}]}),
            &json!({"Statement": {"Resource": "r", "Action": ["b", "a"]}})
        ));
        assert!(same_meaning(
            &json!({"Bool": {"k": true}}),
            &json!({"Bool": {"k": "true"}})
        ));
        assert!(!same_meaning(&json!({"Action": "a"}), &json!({"Action": ["a", "b"]})));
    }
}
