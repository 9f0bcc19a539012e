//! What a bucket's policy demands, read from its JSON.

use serde_json::Value;

/// Whether a policy refuses every request that is not encrypted on its way.
#[must_use]
pub fn demands_tls(policy: &str) -> bool {
    denials(policy).iter().any(|statement| {
        let is_plain = |value: &Value| value == false || value == "false";
        any_of(&statement["Action"], |action| action == "*" || action == "s3:*")
            && statement["Condition"]["Bool"].as_object().is_some_and(|tests| {
                // A further test would narrow the refusal.
                tests.len() == 1
                    && statement["Condition"].as_object().is_some_and(|kinds| kinds.len() == 1)
                    && tests.iter().any(|(name, value)| {
                        name.eq_ignore_ascii_case("aws:SecureTransport")
                            && (is_plain(value) || value.as_array().is_some_and(|all| all.iter().any(is_plain)))
                    })
            })
    })
}

/// Whether a policy refuses writes that could replace an object.
#[must_use]
pub fn demands_new_keys(policy: &str) -> bool {
    denials(policy).iter().any(|statement| {
        any_of(&statement["Action"], |action| {
            matches!(action, "*" | "s3:*" | "s3:PutObject")
        }) && statement["Condition"]["Null"].as_object().is_some_and(|tests| {
            tests.iter().any(|(name, value)| {
                name.eq_ignore_ascii_case("s3:if-none-match") && (value == true || value == "true")
            })
        })
    })
}

/// The statements that refuse something to everybody.
fn denials(policy: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = match &policy["Statement"] {
        Value::Array(all) => all.clone(),
        Value::Object(_) => vec![policy["Statement"].clone()],
        _ => Vec::new(),
    };
    statements
        .into_iter()
        .filter(|statement| {
            let principal = &statement["Principal"];
            statement["Effect"] == "Deny" && (principal == "*" || any_of(&principal["AWS"], |who| who == "*"))
        })
        .collect()
}

/// Whether a text, or one of a list of texts, is what is looked for.
fn any_of(value: &Value, is: impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is(text),
        Value::Array(all) => all.iter().filter_map(Value::as_str).any(is),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_demands_tls_is_told_from_one_that_only_looks_like_it() {
        let statement = |rest: &str| format!(r#"{{"Statement":[{{{rest},"Resource":"arn:aws:s3:::b/*"}}]}}"#);
        for (rest, demands) in [
            (
                r#""Effect":"Deny","Principal":"*","Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
                true,
            ),
            (
                r#""Effect":"Deny","Principal":{"AWS":"*"},"Action":["s3:*"],"Condition":{"Bool":{"aws:securetransport":[false]}}"#,
                true,
            ),
            (
                r#""Effect":"Allow","Principal":"*","Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
                false,
            ),
            (
                r#""Effect":"Deny","Principal":"*","Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#,
                false,
            ),
            (
                r#""Effect":"Deny","Principal":"*","Action":"s3:GetObject","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
                false,
            ),
            (
                r#""Effect":"Deny","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
                false,
            ),
            (
                r#""Effect":"Deny","Principal":"*","Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"},"StringLike":{"aws:UserAgent":"x"}}"#,
                false,
            ),
        ] {
            assert_eq!(demands_tls(&statement(rest)), demands, "{rest}");
        }
        assert!(!demands_tls("not JSON") && !demands_tls("{}"));
    }

    #[test]
    fn a_policy_that_demands_new_keys_is_found() {
        let of = |value: &str| {
            format!(
                r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"*","Condition":{{"Null":{{"s3:if-none-match":{value}}}}}}}}}"#
            )
        };
        assert!(demands_new_keys(&of("\"true\"")) && demands_new_keys(&of("true")));
        assert!(!demands_new_keys(&of("\"false\"")) && !demands_new_keys("{}"));
    }
}
