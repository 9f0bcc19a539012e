//! `iam apply`: the role, its policy and the provider of tokens, made in the account.

use clap::Args as ClapArgs;
use serde::Serialize;

use super::{GrantArgs, SubjectArgs, account, check_role_name, policy_options, say_what_names_are_worth};
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::Bucket;
use crate::bucket::iam::policy;
use crate::bucket::iam::service::IdentityService;
use crate::cli::Context;
use crate::ops::iam::{Beside, Plan, Step, Wanted, apply, plan};

/// Arguments of `iam apply`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub grant: GrantArgs,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub subject: SubjectArgs,

    /// What the role is called [default: backup-cli-ROLE]
    #[arg(long, value_name = "NAME")]
    pub role_name: Option<String>,

    /// Show what would be done, without doing it
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Go ahead without asking
    #[arg(long, short = 'y', visible_alias = "yes")]
    pub confirm: bool,
}

/// The answer of `iam apply` for programs.
#[derive(Serialize)]
struct Answer<'a> {
    account: &'a str,
    role_name: &'a str,
    role_arn: String,
    #[serde(flatten)]
    plan: &'a Plan,
    dry_run: bool,
    changed: bool,
}

/// Looks, shows, asks and makes it.
///
/// # Errors
/// [`Kind::Refused`] without a confirmation; the service's failures.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let trust = args.subject.trust()?;
    let (store, options) = policy_options(&args.grant, context)?;
    let trust_options = args.subject.options(options.partition)?;
    let role = args.role_name.clone().unwrap_or_else(|| args.grant.name());
    check_role_name(&role)?;
    say_what_names_are_worth(&trust, context);
    let bucket = Bucket::of(&store);
    let wanted = Wanted {
        account: account(&bucket)?,
        policy_name: args.grant.name(),
        policy: policy(&args.grant.roles(), &options)?,
        place: options.place(),
        trust,
        trust_options,
        role,
    };
    let service = bucket.identity_service()?;
    let planned = plan(&service, &wanted)?;
    context.listener.end();
    let changed = decide(args, &wanted, &planned, &service, context)?;
    if context.console.is_json() {
        context.console.answer_json(&Answer {
            account: &wanted.account,
            role_name: &wanted.role,
            role_arn: role_arn(&wanted),
            plan: &planned,
            dry_run: args.dry_run,
            changed,
        })?;
    }
    Ok(())
}

/// Shows the plan, asks, and does it; whether anything was changed.
fn decide(args: &Args, wanted: &Wanted, planned: &Plan, service: &IdentityService, context: &Context) -> Result<bool> {
    let console = &context.console;
    warn_of(&planned.beside, wanted, context);
    if planned.is_idle() {
        console.summary(&format!("The role `{}` is as it should be.", wanted.role))?;
        return Ok(false);
    }
    let is_sure = args.confirm && !args.dry_run;
    console.summary(&shown(wanted, planned, if is_sure { "will be" } else { "would be" }))?;
    if args.dry_run {
        console.summary("Nothing was changed: this is a dry run.")?;
        return Ok(false);
    }
    if !args.confirm {
        let question = format!("This would be done in the account {}. Go ahead?", wanted.account);
        let answer = console
            .confirm(&question, &context.cancel)
            .map_err(|failure| match failure.kind() {
                Kind::Refused => failure.hint("Nothing was changed"),
                _ => failure,
            })?;
        if !answer {
            return Err(Failure::new(Kind::Refused, "Not confirmed, so nothing was changed")
                .hint("Answer `y` to go ahead, or look first with --dry-run"));
        }
    }
    apply(service, wanted, planned)?;
    console.summary(&format!(
        "Done. Set AWS_ROLE_ARN={} where the role is to be taken.",
        role_arn(wanted)
    ))?;
    Ok(true)
}

fn role_arn(wanted: &Wanted) -> String {
    format!(
        "arn:{}:iam::{}:role/{}",
        wanted.trust_options.partition.name, wanted.account, wanted.role
    )
}

/// Says what stands beside the policy and makes it less than it says.
fn warn_of(beside: &Beside, wanted: &Wanted, context: &Context) {
    let console = &context.console;
    for other in &beside.refusing {
        console.warning(&format!(
            "The role `{}` has the policy `{}` besides, which is not as this tool writes it for this bucket and prefix and stays. It refuses {}, whatever else is granted. If it is not to: `{}`.",
            wanted.role,
            other.name,
            other.refuses.join(", "),
            other.remove
        ));
    }
    if let Some(permission) = beside.not_looked {
        console.warning(&format!(
            "Whether the role `{}` has policies of ours for other roles, which would refuse what this one grants, could not be looked at: it takes {permission}.",
            wanted.role
        ));
    }
}

/// The longest of `would be changed` and its like.
const WORD_LETTERS: usize = 16;

/// The plan for people; `tense` stands before what becomes of each thing.
fn shown(wanted: &Wanted, plan: &Plan, tense: &str) -> String {
    let mut text = String::new();
    let of_policy = |name: &str| format!("role {}: its policy {name}", wanted.role);
    let mut parts = vec![
        (format!("provider {}", wanted.trust.url()), &plan.provider),
        (format!("role {}: whom it trusts", wanted.role), &plan.role),
        (of_policy(&wanted.policy_name), &plan.policy),
    ];
    let superseded = plan.beside.superseded.iter();
    parts.extend(superseded.map(|old| {
        let what = format!("{}, which is for other roles", of_policy(&old.name));
        (what, &old.step)
    }));
    for (what, step) in parts {
        let (word, body): (&str, Vec<String>) = match step {
            Step::Stays => ("stays", Vec::new()),
            Step::Made { document } => (
                "made",
                document
                    .iter()
                    .flat_map(|text| text.lines())
                    .map(|line| format!("+ {line}"))
                    .collect(),
            ),
            Step::Changed { diff, .. } => ("changed", diff.clone()),
            Step::Removed { diff } => ("removed", diff.clone()),
        };
        let word = match step.is_idle() {
            true => word.to_owned(),
            false => format!("{tense} {word}"),
        };
        text.push_str(&format!("{word:WORD_LETTERS$}  {what}\n"));
        for line in body {
            text.push_str(&format!("    {line}\n"));
        }
    }
    match plan.foreign_statements {
        0 => {}
        1 => text.push_str("One more statement says whom the role trusts; it is not ours, and stays.\n"),
        many => text.push_str(&format!(
            "{many} more statements say whom the role trusts; they are not ours, and stay.\n"
        )),
    }
    text.truncate(text.trim_end().len());
    text
}
