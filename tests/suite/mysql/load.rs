//! A database that is written to all the time: each of 50 backups is a state that existed.

use std::io::Read;
use std::process::Stdio;

use crate::round_trips::back_up;
use crate::support::mariadb::{Database, MariaDbServer, PASSWORD, USER};
use crate::support::place::{Place, PlaceKind};

const ACCOUNTS: i64 = 10;
const CYCLES: usize = 50;

/// Transfers that anyone can repeat: the number of the last one tells every balance. Others write what must sum up to 0.
const BANK: &str = r"
CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
INSERT INTO account SELECT seq, 1000 FROM seq_0_to_9;
CREATE TABLE journal (n bigint PRIMARY KEY, amount bigint NOT NULL);
CREATE TABLE noise (id bigint AUTO_INCREMENT PRIMARY KEY, amount bigint NOT NULL);
CREATE TABLE control (stop int NOT NULL) ENGINE = InnoDB;
INSERT INTO control VALUES (0);
DELIMITER $$
CREATE PROCEDURE transfers()
BEGIN
  DECLARE n bigint DEFAULT 0;
  WHILE (SELECT stop FROM control) = 0 DO
    SET n = n + 1;
    START TRANSACTION;
    UPDATE account SET balance = balance - n % 13 WHERE id = n % 10;
    INSERT INTO journal VALUES (n, n % 13);
    UPDATE account SET balance = balance + n % 13 WHERE id = (n * 7 + 3) % 10;
    COMMIT;
    IF n % 500 = 0 THEN DELETE FROM journal WHERE journal.n < n - 300; END IF;
  END WHILE;
END$$
CREATE PROCEDURE noises()
BEGIN
  WHILE (SELECT stop FROM control) = 0 DO
    START TRANSACTION;
    INSERT INTO noise (amount) VALUES (5), (-3);
    INSERT INTO noise (amount) VALUES (-2);
    COMMIT;
    IF rand() < 0.02 THEN DELETE FROM noise; END IF;
  END WHILE;
END$$
";

/// The rows of numbers that a dump has for a table.
fn rows(dump: &str, table: &str) -> Vec<Vec<i64>> {
    let begin = format!("-- Dumping data for table `{table}`");
    let at = dump.find(&begin).expect("the table is in the dump");
    let data = &dump[at..at + dump[at..].find("ENABLE KEYS").expect("its end")];
    data.lines()
        .filter(|line| line.starts_with('('))
        .map(|line| {
            let inner = line.trim_matches(['(', ')', ',', ';']);
            inner
                .split(',')
                .map(|number| number.parse().expect("a number"))
                .collect()
        })
        .collect()
}

/// The balances after `last` transfers.
fn balances(last: i64) -> Vec<Vec<i64>> {
    let mut balances = vec![1000; usize::try_from(ACCOUNTS).expect("few")];
    let at = |n: i64| usize::try_from(n % ACCOUNTS).expect("few");
    for n in 1..=last {
        balances[at(n)] -= n % 13;
        balances[at(n * 7 + 3)] += n % 13;
    }
    (0..).zip(balances).map(|(id, balance)| vec![id, balance]).collect()
}

#[test]
fn every_one_of_50_backups_under_write_load_is_a_state_that_existed() {
    let server = MariaDbServer::shared();
    let database = Database::fresh();
    database.sql(BANK);
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli().env("BACKUP_LEVEL", "1");
    let writers: Vec<_> = ["transfers", "noises", "noises"]
        .iter()
        .map(|procedure| {
            server
                .program("mariadb", USER, PASSWORD)
                .args([&database.name, "-e", &format!("CALL {procedure}()")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("mariadb starts")
        })
        .collect();
    let mut last_seen = 0;
    let mut moved = 0;
    for cycle in 0..CYCLES {
        let name = format!("cycle-{cycle}");
        let id = back_up(&cli, &[&database.url(), "--name", &name]);
        let key = place
            .keys()
            .into_iter()
            .find(|key| key.contains(&format!("{id}.sql.gz")) && key.ends_with(".gz") && !key.contains("index"));
        let file = std::fs::File::open(place.store_folder().join(key.expect("its data"))).expect("the file");
        let mut dump = String::new();
        flate2::read::MultiGzDecoder::new(file)
            .read_to_string(&mut dump)
            .expect("gzip");
        let journal = rows(&dump, "journal");
        let last = journal.last().map_or(0, |row| row[0]);
        for pair in journal.windows(2) {
            assert_eq!(pair[0][0] + 1, pair[1][0], "a transfer is missing in cycle {cycle}");
        }
        assert_eq!(
            rows(&dump, "account"),
            balances(last),
            "cycle {cycle}, after {last} transfers"
        );
        let noise: i64 = rows(&dump, "noise").iter().map(|row| row[1]).sum();
        assert_eq!(noise, 0, "cycle {cycle}");
        assert!(last >= last_seen);
        moved += i64::from(last > last_seen);
        last_seen = last;
        if cycle % 25 == 24 {
            // What comes back is that state too, while the others go on.
            let target = format!("{}-{cycle}", database.name);
            cli.run(["restore", &id, "--to", &server.url(&target)]).success();
            let there = server.sql(&target, "SELECT id, balance FROM account ORDER BY id");
            let expected: String = balances(last)
                .iter()
                .map(|row| format!("{}\t{}\n", row[0], row[1]))
                .collect();
            assert_eq!(there, expected);
        }
    }
    database.sql("UPDATE control SET stop = 1");
    for mut writer in writers {
        assert!(writer.wait().expect("the writer ends").success(), "a writer failed");
    }
    assert!(
        moved > i64::try_from(CYCLES / 2).expect("few"),
        "the writers hardly wrote: {moved}"
    );
}
