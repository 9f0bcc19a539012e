//! `iam`: who may do what with the bucket, as policies, and made in the account.

mod apply;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::assemble::{of_first_store, s3_store};
use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::iam::policy::Document;
use crate::bucket::iam::trust::{GithubSource, check_account};
use crate::bucket::iam::{Partition, PolicyOptions, Role, Trust, TrustOptions, policy, policy_name, terraform};
use crate::bucket::{Bucket, Reading};
use crate::config::{Flags, Settings, table};
use crate::store::Store;
use crate::store::address::StoreAddress;
use crate::store::s3::S3Store;

/// Print or make the roles that backups need in AWS
///
/// A machine that makes backups should not be able to read or remove them; whoever restores need not write. Each role may do
/// what its commands take and no more, for the bucket and the prefix of the store.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = help::closing("iam"), arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do about roles.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Print the policy of a role
    ///
    /// writer: makes backups; may not list, read or remove any, and writes only where nothing stands yet. restorer: lists,
    /// reads, verifies, and keeps the evidence of drills. pruner: removes what the retention does not keep, pins, accepts,
    /// clears up. admin: sets up the bucket and its lifecycle, and looks after them. Several roles together, as for `backup
    /// --prune`, are one policy: writer and pruner.
    ///
    /// Nothing is asked of the store. Tags, the key of the key management service and --purge-versions are taken from the
    /// settings, if they are not given here.
    #[command(after_long_help = help::closing("iam policy"))]
    Policy(PolicyArgs),

    /// Print what a role trusts: workflows of one repository, or the machines of one app
    ///
    /// The token that a workflow or machine gets is taken for a role only with the right audience and from the right subject.
    /// Patterns are refused: a role that trusts every repository is everybody's.
    #[command(after_long_help = help::closing("iam trust"))]
    Trust(TrustArgs),

    /// Make the role, its policy and the provider of tokens in the account
    ///
    /// What stands there is compared first, and what differs is shown. What is not ours stays: other statements of what the
    /// role trusts, its other policies, and the other audiences of the provider. Doing it again changes nothing.
    ///
    /// The role is to be what is asked for and no more: a policy that this tool wrote for other roles, under the same name of
    /// the role and for the same bucket and prefix, goes, as what it refuses would stay refused. If somebody has changed it,
    /// or if it is for another prefix, it stays, and a warning says what it refuses and which command removes it.
    #[command(after_long_help = help::closing("iam apply"))]
    Apply(Box<apply::Args>),
}

impl Action {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        match self {
            Self::Policy(args) => args.grant.flags(),
            Self::Apply(args) => args.grant.flags(),
            Self::Trust(_) => Flags::default(),
        }
    }
}

/// The roles, as they are typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleWord {
    /// Makes backups, and can neither see nor harm those that are there
    Writer,
    /// Lists, reads and verifies them
    Restorer,
    /// Removes what the retention does not keep
    Pruner,
    /// Sets up the bucket and looks after it
    Admin,
}

impl RoleWord {
    fn role(self) -> Role {
        match self {
            Self::Writer => Role::Writer,
            Self::Restorer => Role::Restorer,
            Self::Pruner => Role::Pruner,
            Self::Admin => Role::Admin,
        }
    }
}

/// How a document is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// As AWS reads it
    #[default]
    Json,
    /// As a resource of Terraform
    Terraform,
}

/// What a role may do.
#[derive(Clone, Debug, ClapArgs)]
pub struct GrantArgs {
    /// Whose rights; may be repeated
    #[arg(long, value_name = "ROLE", required = true, value_enum)]
    pub role: Vec<RoleWord>,

    /// The ARN of the KMS key that the objects are encrypted with [default: that of sse-kms-key-id]
    #[arg(long, value_name = "ARN")]
    pub kms_key: Option<String>,

    /// Grant what locking takes, too
    #[arg(long)]
    pub object_lock: bool,

    /// Grant what removing all versions takes, too
    #[arg(long)]
    pub purge_versions: bool,

    /// Let the writer look at what it has written: a lost answer is cleared up, and it could read every backup
    #[arg(long, hide_short_help = true)]
    pub read_back: bool,

    /// Do not refuse writes that may replace an object: for servers that do not know this condition
    #[arg(long, hide_short_help = true)]
    pub allow_replace: bool,
}

impl GrantArgs {
    fn flags(&self) -> Flags {
        Flags::default().switch(
            &table::PURGE_VERSIONS,
            "--purge-versions",
            self.purge_versions.then_some(true),
        )
    }

    fn roles(&self) -> Vec<Role> {
        let mut roles: Vec<Role> = self.role.iter().map(|word| word.role()).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    /// What a role and its policy are called, unless the user says.
    fn name(&self) -> String {
        policy_name(&self.roles())
    }
}

/// Arguments of `iam policy`.
#[derive(Clone, Debug, ClapArgs)]
pub struct PolicyArgs {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub grant: GrantArgs,

    /// How to write it
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
}

/// Who issues tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Issuer {
    /// Workflows of GitHub Actions
    Github,
    /// Machines of fly.io
    Fly,
}

/// Whose tokens are trusted.
#[derive(Clone, Debug, ClapArgs)]
pub struct SubjectArgs {
    /// Who issues the tokens
    #[arg(long = "for", value_name = "ISSUER", value_enum)]
    pub issuer: Issuer,

    /// The repository, ORG/REPO; with numbers, ORG@ID/REPO@ID, if it was made or renamed since July 2026
    #[arg(long, value_name = "ORG/REPO", required_if_eq("issuer", "github"))]
    pub repo: Option<String>,

    /// Only jobs of this deployment environment of the repository
    #[arg(long, value_name = "NAME", conflicts_with_all = ["branch", "tag"])]
    pub environment: Option<String>,

    /// Only runs on this branch, of jobs without an environment
    #[arg(long, value_name = "NAME", conflicts_with = "tag")]
    pub branch: Option<String>,

    /// Only runs on this tag, of jobs without an environment
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,

    /// The organisation of the app at fly.io
    #[arg(long, value_name = "ORG", required_if_eq("issuer", "fly"))]
    pub org: Option<String>,

    /// The app at fly.io
    #[arg(long, value_name = "APP", required_if_eq("issuer", "fly"))]
    pub app: Option<String>,

    /// For whom tokens must be made out [default: the token service]
    #[arg(long, value_name = "AUDIENCE", hide_short_help = true)]
    pub audience: Option<String>,
}

impl SubjectArgs {
    fn trust(&self) -> Result<Trust> {
        let foreign = match self.issuer {
            Issuer::Github => self.org.is_some() || self.app.is_some(),
            Issuer::Fly => {
                self.repo.is_some() || self.environment.is_some() || self.branch.is_some() || self.tag.is_some()
            }
        };
        if foreign {
            return Err(
                Failure::new(Kind::Usage, "Options of GitHub and of fly.io stand together")
                    .hint("GitHub takes --repo with --environment, --branch or --tag; fly.io takes --org and --app"),
            );
        }
        let trust = match self.issuer {
            Issuer::Github => Trust::Github {
                repository: self.repo.clone().unwrap_or_default(),
                from: match (&self.environment, &self.branch, &self.tag) {
                    (Some(name), _, _) => GithubSource::Environment(name.clone()),
                    (_, Some(name), _) => GithubSource::Branch(short(name, "refs/heads/")?),
                    (_, _, Some(name)) => GithubSource::Tag(short(name, "refs/tags/")?),
                    _ => {
                        return Err(Failure::new(Kind::Usage, "Which workflows of the repository is not said")
                            .hint("Add --environment, --branch or --tag: without it every pull request could take the role"));
                    }
                },
            },
            Issuer::Fly => Trust::Fly {
                organisation: self.org.clone().unwrap_or_default(),
                app: self.app.clone().unwrap_or_default(),
            },
        };
        trust.check()?;
        Ok(trust)
    }

    fn options(&self, partition: Partition) -> Result<TrustOptions> {
        let audience = self.audience.clone();
        match audience.as_deref() {
            Some(text) if text.trim().is_empty() || text.contains(['*', '?', '$']) => {
                Err(Failure::new(Kind::Usage, format!("Not one audience: `{text}`"))
                    .hint("Leave --audience out, unless the workflow asks for another one"))
            }
            _ => Ok(TrustOptions { partition, audience }),
        }
    }
}

/// The name of a branch or tag, which workflows know with what git puts before it, too.
fn short(name: &str, before: &str) -> Result<String> {
    let short = name.strip_prefix(before).unwrap_or(name);
    match short.starts_with("refs/") {
        false => Ok(short.to_owned()),
        true => Err(
            Failure::new(Kind::Usage, format!("Not a name below `{before}`: `{name}`")).hint(
                "Write the bare name, such as --branch main or --tag v1.2: tokens of other references are not taken",
            ),
        ),
    }
}

/// Arguments of `iam trust`.
#[derive(Clone, Debug, ClapArgs)]
pub struct TrustArgs {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub subject: SubjectArgs,

    /// The number of the account; Terraform finds it out by itself
    #[arg(long, value_name = "ID")]
    pub account_id: Option<String>,

    /// What the role is called
    #[arg(long, value_name = "NAME", default_value = "backup-cli")]
    pub role_name: String,

    /// How to write it
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: Format,
}

/// Does it.
///
/// # Errors
/// [`Kind::Usage`] for what makes no sense; [`Kind::Refused`] without a confirmation; the service's failures.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.action {
        Action::Policy(args) => print_policy(args, context),
        Action::Trust(args) => print_trust(args, context),
        Action::Apply(args) => apply::run(args, context),
    }
}

fn print_policy(args: &PolicyArgs, context: &Context) -> Result<()> {
    let (store, options) = policy_options(&args.grant, context)?;
    let document = policy(&args.grant.roles(), &options)?;
    let name = args.grant.name();
    let url = store.url();
    print(args.format, &document, context, || {
        terraform::policy_resource(&name, &format!("What backup-cli needs of {url}"), &document)
    })
}

fn print_trust(args: &TrustArgs, context: &Context) -> Result<()> {
    let trust = args.subject.trust()?;
    check_role_name(&args.role_name)?;
    let options = args.subject.options(partition(context)?)?;
    say_what_names_are_worth(&trust, context);
    let account = match (&args.account_id, args.format) {
        (Some(account), _) => {
            check_account(account)?;
            account.as_str()
        }
        (None, Format::Terraform) => "",
        (None, Format::Json) => {
            return Err(Failure::new(Kind::Usage, "The number of the account is not said").hint(
                "Add --account-id; `aws sts get-caller-identity --query Account --output text` prints it, and --format terraform does without",
            ));
        }
    };
    let document = trust.document(&trust.provider_arn(account, options.partition), &options);
    print(args.format, &document, context, || {
        terraform::trust_resources(&args.role_name, &trust, &options)
    })
}

fn print(
    format: Format,
    document: &Document,
    context: &Context,
    as_terraform: impl FnOnce() -> Result<String>,
) -> Result<()> {
    let console = &context.console;
    match (format, console.is_json()) {
        (Format::Json, true) => console.answer_json(document),
        (Format::Json, false) => console.answer(&format!("{}\n", document.to_json()?)),
        (Format::Terraform, true) => console.answer_json(&serde_json::json!({ "terraform": as_terraform()? })),
        (Format::Terraform, false) => console.answer(&as_terraform()?),
    }
}

/// The account that the credentials belong to.
fn account(bucket: &Bucket) -> Result<String> {
    match bucket.caller_for_sure() {
        Reading::Is(caller) => Ok(caller.account),
        Reading::Failed(failure) => Err(failure),
        Reading::NotAllowed { permission } => Err(Failure::new(Kind::Denied, "Could not learn the account")
            .hint(format!("The credentials need the permission {permission}"))),
        Reading::NotConfigured | Reading::NotSupported => Err(Failure::new(
            Kind::Unsupported,
            "What answers there has no accounts: roles are made in AWS alone",
        )
        .hint("Take the policy of `backup-cli iam policy` to the provider's console")),
    }
}

/// The store's bucket; nothing is asked of it yet.
fn bucket_store(context: &Context) -> Result<S3Store> {
    let settings = of_first_store(&context.settings);
    let StoreAddress::S3 { bucket, prefix } = &settings.store.value else {
        return Err(
            Failure::new(Kind::Usage, format!("The store is no bucket: {}", settings.store.value))
                .hint("Name one with --store s3://BUCKET/PREFIX"),
        );
    };
    s3_store(settings, bucket, prefix, &context.run(), |_| {})
}

fn policy_options(grant: &GrantArgs, context: &Context) -> Result<(S3Store, PolicyOptions)> {
    let store = bucket_store(context)?;
    let settings = of_first_store(&context.settings);
    let bucket = Bucket::of(&store);
    let options = PolicyOptions {
        bucket: bucket.name().to_owned(),
        prefix: store.prefix().to_owned(),
        partition: Partition::of_region(&bucket.region_in_use()),
        kms_key: grant.kms_key.clone().or_else(|| settings.sse_kms_key_id.value.clone()),
        tags: !settings.object_tags.value.is_empty(),
        locks: grant.object_lock || settings.lock.request()?.is_some(),
        purges_versions: context.settings.purge_versions.value,
        reads_back: grant.read_back,
        replaces: grant.allow_replace,
    };
    Ok((store, options))
}

/// Where the account is, by the region of the store, or of the settings.
fn partition(context: &Context) -> Result<Partition> {
    let settings: &Settings = of_first_store(&context.settings);
    let region = match &settings.store.value {
        StoreAddress::S3 { .. } => Bucket::of(&bucket_store(context)?).region_in_use(),
        StoreAddress::Local { .. } => settings.region.value.clone().unwrap_or_default(),
    };
    Ok(Partition::of_region(&region))
}

fn say_what_names_are_worth(trust: &Trust, context: &Context) {
    if trust.is_by_name_only() {
        context.console.note(
            "The repository is known by its name alone. If it was made or renamed since July 2026, its tokens carry numbers too: write ORG@ID/REPO@ID, with those that `gh api repos/ORG/REPO --jq '.owner.id, .id'` prints.",
        );
    }
}

/// The rules of the service for names of roles.
fn check_role_name(name: &str) -> Result<()> {
    let is_right = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte));
    match is_right {
        true => Ok(()),
        false => Err(Failure::new(Kind::Usage, format!("Not the name of a role: `{name}`"))
            .hint("It has up to 64 letters, digits and +=,.@_-")),
    }
}
