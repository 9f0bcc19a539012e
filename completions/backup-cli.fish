# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_backup_cli_global_optspecs
    string join \n config= p/profile= store= name= endpoint-url= region= provider= path-style= recipient= recipients-file= identity= env-file= json q/quiet v/verbose no-progress log-format= color= h/help V/version
end

function __fish_backup_cli_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_backup_cli_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_backup_cli_using_subcommand
    set -l cmd (__fish_backup_cli_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c backup-cli -n "__fish_backup_cli_needs_command" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_needs_command" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -s V -l version -d 'Print version'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "backup" -d 'Back up directories, a database, or the output of a command'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "accept" -d 'Say that a flagged backup is right as it is'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "list" -d 'List backups, newest first'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "show" -d 'Show what is known of a backup'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "ls" -d 'List the files or tables inside a backup'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "copy" -d 'Copy committed backups to another store'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "find" -d 'Find which backups hold a file or a table'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "diff" -d 'Show what changed between two backups'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "restore" -d 'Bring a backup back'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "prune" -d 'Remove the backups that the rules do not keep'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "pin" -d 'Keep a backup, whatever the retention says'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "unpin" -d 'Take a pin back'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "cleanup" -d 'Remove what interrupted runs left behind'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "cost" -d 'Show what the store holds, and what it costs a month'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "doctor" -d 'Try everything that backups depend on, and say what to do about what is wrong'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "verify" -d 'Check backups where they lie'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "rebuild-index" -d 'Make a lost or damaged index again from the data'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "adopt" -d 'Make a backup of an object that something else made'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "bucket" -d 'Create the bucket of the store, harden it, and look at it'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "iam" -d 'Print or make the roles that backups need in AWS'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "lifecycle" -d 'Let the bucket move backups to cheaper classes and remove them as they grow old'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "key" -d 'Make keys for encryption, and tell their public halves'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "config" -d 'Show, check or create the configuration'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "version" -d 'Print the version'
complete -c backup-cli -n "__fish_backup_cli_needs_command" -f -a "generate" -d 'Write the manual pages, completions and examples'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l command -d 'Back up the standard output of this command; it is split into words, but no shell is involved' -r -f -a "(__fish_complete_command)"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l stdin-name -d 'The name of a backup of standard input' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l extension -d 'The extension of what a command or standard input yields, such as `sql`' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l tag -d 'Record a word with the backup; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l exclude -d 'Leave out what matches, in the syntax of .gitignore; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l exclude-file -d 'Read such patterns from a file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l table -d 'Of a PostgreSQL database only the tables that match, without large objects; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l exclude-table -d 'Leave out the tables that match; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l schema -d 'Only the schemas that match, without large objects; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l exclude-schema -d 'Leave out the schemas that match; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l exclude-table-data -d 'Leave out the rows of the tables that match, but not their definitions; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l format -d 'What pg_dump writes: SQL for psql, or an archive for pg_restore [default: plain]' -r -f -a "plain\t''
custom\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l jobs -d 'How many pg_dump workers dump the rows at once, on one snapshot, each into an object of its own [default: 1]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l pg-dump-arg -d 'A further argument for pg_dump; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l mysql-dump-arg -d 'A further argument for mariadb-dump or mysqldump; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l shape-guard -d 'Flag a backup that is smaller than this part of the median of the last ones, or `off` [default: 50%]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l lock-timeout -d 'How long to wait for another run of the same series [default: 0s]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l metrics-file -d 'Write metrics for Prometheus into this file, beside what others have written there' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l host -d 'The host name to record [default: this machine\'s]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l key-template -d 'The layout of keys below the prefix' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l compression -d 'How the backup is compressed [default: gzip]' -r -f -a "gzip\t''
zstd\t''
none\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l level -d 'The level of compression, from 1 (fast) to 12 (small), for zstd to 19 [default: 6, for zstd 3]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l threads -d 'How many threads compress or inflate [default: one for each core]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l parts-in-flight -d 'How many parts are sent or fetched at the same time [default: chosen from the memory]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l memory -d 'How much memory the run may take [default: 128MiB]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l part-size -d 'The size of a part of a multipart upload [default: chosen from the expected size]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l expected-size -d 'How large the backup may become, where the source cannot tell' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l storage-class -d 'The storage class of data objects, such as STANDARD_IA' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l sse -d 'Encryption by the server' -r -f -a "AES256\t''
aws:kms\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l sse-kms-key-id -d 'The KMS key for encryption by the server' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l object-tag -d 'An S3 object tag; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l lock-mode -d 'How firm the lock of data, index and manifest is: governance, which a special right overrides, or compliance' -r -f -a "governance\t''
compliance\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l lock-until -d 'Until when it lasts, for example 2030-12-31' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l lock-days -d 'For how many days it lasts, counted from the end of the backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l lock -d '`retention` locks as long as `prune` may keep it by the rules of the profile; `off` does without a lock' -r -f -a "retention\t''
off\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l lock-days-max -d 'Refuse a lock that lasts longer than so many days, which may be a typing error [default: 3660]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l checksum -d 'Additional checksums of requests [default: auto]' -r -f -a "auto\t''
when_supported\t''
when_required\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l shell -d 'Hand the command to `sh -c`'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l exclude-caches -d 'Leave out the content of folders that hold a CACHEDIR.TAG'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -s x -l one-file-system -d 'Do not descend into other file systems'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l globals -d 'The roles and tablespaces of the server instead of a database; the series is called `globals`'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l all-databases -d 'Every database of the server, each a backup of its own, and the roles and tablespaces'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -s n -l dry-run -d 'Show what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l prune -d 'Prune the series afterwards, by the rules of the profile and the --keep options of `prune` in it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l why -d 'Why it is right, to be read by others' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand accept" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l limit -d 'List no more than this many' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l all -d 'List every series, whatever name the profile or the environment sets'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -s l -l long -d 'Print mode, owner, size and time too'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l objects -d 'List everything that a dump makes, not only its tables'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l last -d 'With --all, look at no more than the newest N of each series: what the target has pruned does not come back' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l to -d 'Where to: s3://bucket/prefix, file:///folder, a folder, or @PROFILE' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l lock-timeout -d 'How long to wait for another run of the same series at the target [default: 0s]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l lock-mode -d 'How firm the lock of data, index and manifest is: governance, which a special right overrides, or compliance' -r -f -a "governance\t''
compliance\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l lock-until -d 'Until when it lasts, for example 2030-12-31' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l lock-days -d 'For how many days it lasts, counted from the end of the backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l lock -d '`retention` locks as long as `prune` may keep it by the rules of the profile; `off` does without a lock' -r -f -a "retention\t''
off\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l lock-days-max -d 'Refuse a lock that lasts longer than so many days, which may be a typing error [default: 3660]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l threads -d 'How many threads compress or inflate [default: one for each core]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l parts-in-flight -d 'How many parts are sent or fetched at the same time [default: chosen from the memory]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l memory -d 'How much memory the run may take [default: 128MiB]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l all -d 'Copy every backup that the target lacks, newest first; with --name or a profile, of that series'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -s n -l dry-run -d 'Show what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand copy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -s t -l type -d 'Find only files, folders, symbolic links or tables; may be repeated' -r -f -a "f\t'A regular file'
d\t'A folder'
l\t'A symbolic link'
table\t'A table'"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l since -d 'Search backups that were begun at this time or later, for example 2025-01-31' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l until -d 'Search backups that were begun at this time or earlier' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -s i -l ignore-case -d 'Take small and capital letters for the same'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l all -d 'Search every series, whatever name the profile or the environment sets'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand find" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l from-s3 -d 'Restore this object' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l backup-file -d 'Restore this file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l to -d 'Where to: a folder, a file, `-` for standard output, or a URL such as postgres://user@host/database, mysql://…, sqlite:///path' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l include -d 'Restore only what matches; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l exclude -d 'Leave out what matches; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l table -d 'Restore only these tables of a plain dump: [SCHEMA.]TABLE, `*` for any letters, double quotes around names with dots; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l at -d 'The newest backup that was there at this time, for example 2025-01-31T12:00:00Z' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l tier -d 'How fast archived data is wanted; faster costs more' -r -f -a "standard\t'Within hours'
bulk\t'Within half a day, or two days out of a deep archive; the cheapest'
expedited\t'Within minutes; not out of a deep archive'"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l thaw-days -d 'How many days thawed copies stay' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l threads -d 'How many threads compress or inflate [default: one for each core]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l parts-in-flight -d 'How many parts are sent or fetched at the same time [default: chosen from the memory]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l memory -d 'How much memory the run may take [default: 128MiB]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l from-s3-latest -d 'Restore the newest backup of the bucket'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l list-s3 -d 'List what could be restored, and restore nothing'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l with-schema -d 'With --table, what makes the tables too: definitions, sequences, indexes, constraints, triggers, rights'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l merge -d 'Restore into a folder that is not empty; files of the backup replace those with the same path'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l replace -d 'Replace what is there: top-level items of the folder with the same names, the file, or the rows of the tables'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l drop-replaced -d 'Drop the replaced database instead of keeping it under a dated name, as is done with an SQLite file anyway'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l keep-replaced -d 'Keep the replaced file of an SQLite database under a dated name, as is done with a PostgreSQL database anyway'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l no-safety-backup -d 'Do not back up first what is replaced'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l thaw -d 'Ask for data that lies in an archive such as GLACIER; without --wait, that is all that is done (exit 3)'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l wait -d 'Wait until the data has been thawed, and go on with the restore'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -s n -l dry-run -d 'Show what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -s y -l confirm -l yes -d 'Go ahead without asking'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-last -d 'Keep the newest N backups' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-hourly -d 'Keep the newest backup of each of the last N hours that have any' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-daily -d 'Keep the newest backup of each of the last N days that have any' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-weekly -d 'Keep the newest backup of each of the last N weeks that have any' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-monthly -d 'Keep the newest backup of each of the last N months that have any' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-yearly -d 'Keep the newest backup of each of the last N years that have any' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-within -d 'Keep everything within this span of the newest backup, such as 2y5m7d3h' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-within-hourly -d 'Keep the newest backup of each hour within this span of the newest backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-within-daily -d 'Keep the newest backup of each day within this span of the newest backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-within-weekly -d 'Keep the newest backup of each week within this span of the newest backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-within-monthly -d 'Keep the newest backup of each month within this span of the newest backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-within-yearly -d 'Keep the newest backup of each year within this span of the newest backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l keep-tag -d 'Keep every backup that has all of these tags, separated by commas; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l retention-days -d 'Keep everything within so many days of the newest backup, as --keep-within does' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l min-keep -d 'Never remove the newest N complete backups, whatever the rules say [default: 1]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l lock-timeout -d 'How long to wait for another run of the same series [default: 0s]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l purge-versions -d 'In a bucket that keeps versions, remove all versions of what is pruned'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -s n -l dry-run -d 'Show what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -s y -l confirm -l yes -d 'Go ahead without asking'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l why -d 'Why, for those who wonder later' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand pin" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand unpin" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l older-than -d 'How old something must be to count as left behind [default: 7d]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l purge-versions -d 'In a bucket that keeps versions, remove all versions of what is removed'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -s n -l dry-run -d 'Show what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -s y -l confirm -l yes -d 'Go ahead without asking'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cleanup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l prices -d 'Take the prices from this file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l every -d 'How often a backup of each series is made, such as 1d or 6h [default: as its newest backups tell]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-last -d 'Keep the newest N backups' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-hourly -d 'Keep the newest backup of each of the last N hours that have any' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-daily -d 'Keep the newest backup of each of the last N days that have any' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-weekly -d 'Keep the newest backup of each of the last N weeks that have any' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-monthly -d 'Keep the newest backup of each of the last N months that have any' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-yearly -d 'Keep the newest backup of each of the last N years that have any' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-within -d 'Keep everything within this span of the newest backup, such as 2y5m7d3h' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-within-hourly -d 'Keep the newest backup of each hour within this span of the newest backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-within-daily -d 'Keep the newest backup of each day within this span of the newest backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-within-weekly -d 'Keep the newest backup of each week within this span of the newest backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-within-monthly -d 'Keep the newest backup of each month within this span of the newest backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-within-yearly -d 'Keep the newest backup of each year within this span of the newest backup' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l keep-tag -d 'Keep every backup that has all of these tags, separated by commas; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l retention-days -d 'Keep everything within so many days of the newest backup, as --keep-within does' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l min-keep -d 'Never remove the newest N complete backups, whatever the rules say [default: 1]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l print-prices -d 'Print the built-in prices as a file to start from, and look at no store'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l all -d 'Look at every series, whatever name the profile or the environment sets'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l purge-versions -d 'In a bucket that keeps versions, remove all versions of what is pruned'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand cost" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l level -d 'How thoroughly [default: data for named backups or with --sample, else quick]' -r -f -a "quick\t'The manifest, and one look at each object'
data\t'Every stored byte'
deep\t'What the bytes are, too'"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l sample -d 'Read only a share of the data: a random one (10%), or one of several that together are everything (2/7)' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l seed -d 'With a random sample, choose the same members as a run that named this number' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l max-age -d 'Fail (22) for each series whose newest complete backup is older, for example 26h' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l min-size -d 'Fail (21) for each series whose newest complete backup has less content' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l max-shrink -d 'Fail (21) for each series whose newest complete backup is smaller than the median of up to ten before it by more than this, for example 50%' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l to -d 'Where scratch targets are made: postgres://admin@host/, mysql://…/, or a folder; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l check -d 'What must hold, beside the profile\'s checks: a question such as "select count(*) > 0 from users", or a path' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l metrics-file -d 'Write metrics of the verification for Prometheus into this file, beside what others have written there' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l threads -d 'How many threads compress or inflate [default: one for each core]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l parts-in-flight -d 'How many parts are sent or fetched at the same time [default: chosen from the memory]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l memory -d 'How much memory the run may take [default: 128MiB]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l all -d 'Check every backup of the store; with --name or a profile, of that series'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l restore -d 'Prove the backup by a restore into a scratch target, which is removed again [default backup: latest]'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l withdraw-checks -d 'Checks of earlier drills that this one does not make were wrong: if it passes, what they found counts no more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l keep -d 'Leave the scratch target where it is, to look at it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l lock-timeout -d 'How long to wait for another run of the same series [default: 0s]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l threads -d 'How many threads compress or inflate [default: one for each core]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l parts-in-flight -d 'How many parts are sent or fetched at the same time [default: chosen from the memory]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l memory -d 'How much memory the run may take [default: 128MiB]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -s n -l dry-run -d 'Read everything and say what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand rebuild-index" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l lock-timeout -d 'How long to wait for another run of the same series [default: 0s]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l threads -d 'How many threads compress or inflate [default: one for each core]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l parts-in-flight -d 'How many parts are sent or fetched at the same time [default: chosen from the memory]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l memory -d 'How much memory the run may take [default: 128MiB]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -s n -l dry-run -d 'Read everything and say what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand adopt" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -f -a "check" -d 'Compare the bucket with what a bucket of backups should be set to, point by point'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and not __fish_seen_subcommand_from check create" -f -a "create" -d 'Create the bucket and set it to what a bucket of backups should be set to; again and again, if need be'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l object-lock -d 'Let objects be locked: `on`, or with a default for new ones, governance:DAYS or compliance:DAYS' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l cors-origin -d 'Let web pages from here read objects, such as https://backups.example.org; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l cors-method -d 'What these web pages may send [default: GET and HEAD]; may be repeated' -r -f -a "GET\t''
HEAD\t''
PUT\t''
POST\t''
DELETE\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l sse -d 'Encrypt what arrives by this: AES256 or aws:kms' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l sse-kms-key-id -d 'The KMS key for it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l noncurrent-days -d 'Remove for good, after so many days, what was replaced or removed and stays as an older version' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l tls-only -d 'Refuse plain HTTP even where this store is reached by it, or (with =false) nowhere [default: where it is reached by TLS]' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l create-only -d 'Refuse writes below the prefix that could replace an object, even by this machine\'s credentials'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -s n -l dry-run -d 'Show what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -s y -l confirm -l yes -d 'Go ahead without asking'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand bucket; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -f -a "policy" -d 'Print the policy of a role'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -f -a "trust" -d 'Print what a role trusts: workflows of one repository, or the machines of one app'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and not __fish_seen_subcommand_from policy trust apply" -f -a "apply" -d 'Make the role, its policy and the provider of tokens in the account'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l role -d 'Whose rights; may be repeated' -r -f -a "writer\t'Makes backups, and can neither see nor harm those that are there'
restorer\t'Lists, reads and verifies them'
pruner\t'Removes what the retention does not keep'
admin\t'Sets up the bucket and looks after it'"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l kms-key -d 'The ARN of the KMS key that the objects are encrypted with [default: that of sse-kms-key-id]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l format -d 'How to write it' -r -f -a "json\t'As AWS reads it'
terraform\t'As a resource of Terraform'"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l object-lock -d 'Grant what locking takes, too'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l purge-versions -d 'Grant what removing all versions takes, too'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l read-back -d 'Let the writer look at what it has written: a lost answer is cleared up, and it could read every backup'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l allow-replace -d 'Do not refuse writes that may replace an object: for servers that do not know this condition'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from policy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l for -d 'Who issues the tokens' -r -f -a "github\t'Workflows of GitHub Actions'
fly\t'Machines of fly.io'"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l repo -d 'The repository, ORG/REPO; with numbers, ORG@ID/REPO@ID, if it was made or renamed since July 2026' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l environment -d 'Only jobs of this deployment environment of the repository' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l branch -d 'Only runs on this branch, of jobs without an environment' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l tag -d 'Only runs on this tag, of jobs without an environment' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l org -d 'The organisation of the app at fly.io' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l app -d 'The app at fly.io' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l audience -d 'For whom tokens must be made out [default: the token service]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l account-id -d 'The number of the account; Terraform finds it out by itself' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l role-name -d 'What the role is called' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l format -d 'How to write it' -r -f -a "json\t'As AWS reads it'
terraform\t'As a resource of Terraform'"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from trust" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l role -d 'Whose rights; may be repeated' -r -f -a "writer\t'Makes backups, and can neither see nor harm those that are there'
restorer\t'Lists, reads and verifies them'
pruner\t'Removes what the retention does not keep'
admin\t'Sets up the bucket and looks after it'"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l kms-key -d 'The ARN of the KMS key that the objects are encrypted with [default: that of sse-kms-key-id]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l for -d 'Who issues the tokens' -r -f -a "github\t'Workflows of GitHub Actions'
fly\t'Machines of fly.io'"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l repo -d 'The repository, ORG/REPO; with numbers, ORG@ID/REPO@ID, if it was made or renamed since July 2026' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l environment -d 'Only jobs of this deployment environment of the repository' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l branch -d 'Only runs on this branch, of jobs without an environment' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l tag -d 'Only runs on this tag, of jobs without an environment' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l org -d 'The organisation of the app at fly.io' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l app -d 'The app at fly.io' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l audience -d 'For whom tokens must be made out [default: the token service]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l role-name -d 'What the role is called [default: backup-cli-ROLE]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l object-lock -d 'Grant what locking takes, too'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l purge-versions -d 'Grant what removing all versions takes, too'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l read-back -d 'Let the writer look at what it has written: a lost answer is cleared up, and it could read every backup'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l allow-replace -d 'Do not refuse writes that may replace an object: for servers that do not know this condition'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -s n -l dry-run -d 'Show what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -s y -l confirm -l yes -d 'Go ahead without asking'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand iam; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -f -a "apply" -d 'Write the rules that the settings ask for'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -f -a "show" -d 'Show all rules of the bucket'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and not __fish_seen_subcommand_from apply show remove" -f -a "remove" -d 'Remove the rules of this store'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l transition -d 'Move data to a storage class after some days, such as 30:GLACIER_IR; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l glacier-days -d 'Move data to GLACIER after so many days' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l delete-days -d 'Remove backups after so many days, whether or not there are newer ones' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l noncurrent-days -d 'In a bucket that keeps versions, remove for good what was removed so many days ago' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l abort-days -d 'Throw unfinished uploads away after so many days [default: 7]' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l prices -d 'Take the prices for the estimate of the cost from this file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -s n -l dry-run -d 'Show what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -s y -l confirm -l yes -d 'Go ahead without asking'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -s n -l dry-run -d 'Show what would be done, without doing it'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -s y -l confirm -l yes -d 'Go ahead without asking'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand lifecycle; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -f -a "generate" -d 'Make a key pair'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -f -a "public" -d 'Print the public keys of a file of secret keys'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and not __fish_seen_subcommand_from generate public show" -f -a "show" -d 'Print the public keys of a file of secret keys'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -s o -l output -d 'The file to write, readable by its owner only; one that exists is never overwritten [default: standard output]' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l passphrase -d 'Encrypt the file by a passphrase: that of the settings, else it is asked for'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from generate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from public" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand key; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -f -a "show" -d 'Print every setting with its value and where it came from; secrets are masked'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -f -a "check" -d 'Check the whole configuration and report every problem, without touching the network'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and not __fish_seen_subcommand_from show check init" -f -a "init" -d 'Write an example configuration, with every key and its explanation'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand config; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand version" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l config -d 'Read this configuration file' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -s p -l profile -d 'Use this profile of the configuration file; repeat it for several runs, one after the other' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l store -d 'Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at once, of which all other commands use the first' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l name -d 'The name of the series: all backups under one name belong together' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l endpoint-url -d 'The URL of an S3 server other than AWS' -r -f
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l region -d 'The region of the bucket' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l provider -d 'Whose limits and habits to expect, where the endpoint does not tell it' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l path-style -d 'Name the bucket in the path of requests (or, with =false, in the host name)' -r -f -a "true\t''
false\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l recipient -d 'Encrypt backups for the holder of this public key of age; may be repeated' -r
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l recipients-file -d 'Encrypt for the public keys in this file, too; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l identity -d 'Open encrypted backups with the secret keys in this file; may be repeated' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l env-file -d 'Read variables from a dotenv file where the environment does not have them' -r -F
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l log-format -d 'The format of messages on standard error' -r -f -a "text\t''
json\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l json -d 'Print JSON: one document, or lines with a message_type for long commands'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -s q -l quiet -d 'Print errors only'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -s v -l verbose -d 'Log what happens inside; repeat it for more'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -l no-progress -d 'Do not show progress'
complete -c backup-cli -n "__fish_backup_cli_using_subcommand generate" -s h -l help -d 'Print help (see more with \'--help\')'
