//! Corruption of every kind is found by `verify --level data`, and by a restore before its target is touched; what is whole
//! raises no alarm.
//!
//! `BACKUP_CLI_TEST_FLIPS` sets how many bits of data are flipped, 10,000 if it is not set.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backup_cli::base::failure::{Kind, Result, from_io};
use backup_cli::base::secret::{Secret, SecretSource};
use backup_cli::catalog::codec::Codec;
use backup_cli::catalog::listing::scan;
use backup_cli::catalog::manifest::SourceInfo;
use backup_cli::ops::Run;
use backup_cli::ops::backup::backup;
use backup_cli::ops::plaintext::Plaintext;
use backup_cli::ops::restore::{RestoreOptions, RestoreTarget, plan_restore, restore};
use backup_cli::ops::verify::{Checked, Level, Reached, Subject, VerifyOptions, verify};
use backup_cli::pipeline::crypt::{Keys, KeysOptions, Recipients, generate_identity};
use backup_cli::source::{Estimate, Source, SourceContext, SourceReport, SourceSink};
use backup_cli::store::Store;
use backup_cli::store::local::LocalStore;
use backup_cli::store::memory::MemoryStore;

use crate::support::library::{find, options, run_at};
use crate::support::project;
use crate::support::server::fresh_folder;
use crate::support::trees::Noise;

/// How many pieces the content has, each a member of its own.
const PIECES: usize = 6;

/// A source of a few small members.
struct Pieces {
    seed: u64,
}

impl Pieces {
    fn content(&self) -> Vec<u8> {
        Noise::new(self.seed).text(PIECES * 700)
    }
}

impl Source for Pieces {
    fn prepare(&mut self, _: &SourceContext<'_>) -> Result<()> {
        Ok(())
    }
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "command".to_owned(),
            what: "pieces".to_owned(),
            ..SourceInfo::default()
        }
    }
    fn extension(&self) -> &str {
        "bin"
    }
    fn estimate(&mut self, _: &SourceContext<'_>) -> Result<Estimate> {
        Ok(Estimate::default())
    }
    fn stream(&mut self, sink: &mut dyn SourceSink, _: &SourceContext<'_>) -> Result<SourceReport> {
        let content = self.content();
        for piece in content.chunks(content.len().div_ceil(PIECES)) {
            sink.cut()?;
            sink.write_all(piece).map_err(|error| from_io("write", error))?;
        }
        Ok(SourceReport::default())
    }
}

/// A store with two backups, and who can read them.
struct Scene {
    memory: MemoryStore,
    store: Arc<dyn Store>,
    run: Run,
}

impl Scene {
    fn new(codec: Codec, is_encrypted: bool) -> Self {
        let memory = MemoryStore::new();
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let (secret, public) = generate_identity();
        let keys = Keys::new(KeysOptions {
            identity: is_encrypted.then(|| SecretSource::Text(Secret::new(secret.expose()))),
            ..KeysOptions::default()
        });
        let mut scene = Self {
            memory,
            store,
            run: Run {
                keys: keys.clone(),
                ..run_at("2026-02-01T02:00:00Z").0
            },
        };
        for (seed, time) in [(1, "2026-01-31T02:00:00Z"), (2, "2026-01-31T03:00:00Z")] {
            let run = Run {
                keys: keys.clone(),
                ..run_at(time).0
            };
            let mut options = options("app", Some(1000));
            options.codec = codec;
            options.level = codec.level_default();
            options.transfer.threads = 1;
            options.recipients = is_encrypted.then(|| Recipients::of_keys(std::slice::from_ref(&public.0)).unwrap());
            backup(&scene.store, &mut Pieces { seed }, &options, &run).unwrap();
        }
        scene.run = Run {
            keys,
            ..run_at("2026-02-01T02:00:00Z").0
        };
        scene
    }

    fn keys(&self, end: &str) -> Vec<String> {
        let ends: Vec<&str> = match end {
            "data" => vec![".gz", ".zst", ".bin", ".age"],
            end => vec![end],
        };
        let is_data = |key: &str| !key.contains(".index.") && !key.ends_with(".json");
        self.memory
            .keys()
            .into_iter()
            .filter(|key| ends.iter().any(|end| key.ends_with(end)) && (end != "data" || is_data(key)))
            .collect()
    }

    fn data(&self) -> Vec<String> {
        self.keys("data")
    }

    fn index(&self) -> String {
        let keys = self.memory.keys();
        keys.into_iter().find(|key| key.contains(".index.gz")).unwrap()
    }

    fn body(&self, key: &str) -> Vec<u8> {
        self.memory.body(key).unwrap().to_vec()
    }

    /// Every backup of the store, checked.
    fn verify(&self, level: Level) -> Vec<Checked> {
        verify_all(&self.store, level, &self.run)
    }

    /// Whether the only backup that is checked is found damaged by the bytes themselves: the entity tag of this store, which
    /// gives everything away at a look, does not count.
    fn is_found(&self, id: &str) -> bool {
        let checked = self.verify(Level::Data);
        let checked = checked.iter().find(|checked| checked.id == id).unwrap();
        checked
            .damage
            .iter()
            .any(|damage| !damage.what.starts_with("The store says that the MD5"))
    }

    /// Whether a restore notices before its target would be touched.
    fn is_refused(&self, id: &str) -> bool {
        let read = || -> Result<()> {
            let chosen = find(&self.store, id, &self.run)?;
            let (mut plaintext, _) = Plaintext::open(&self.store, &chosen, 1, &self.run)?;
            std::io::copy(&mut plaintext, &mut std::io::sink()).map_err(|error| from_io("read", error))?;
            plaintext.verify()
        };
        read().is_err()
    }
}

fn id_of(key: &str) -> String {
    let name = key.rsplit('/').next().unwrap();
    name.split('.').next().unwrap().to_owned()
}

fn verify_all(store: &Arc<dyn Store>, level: Level, run: &Run) -> Vec<Checked> {
    let found = scan(store.as_ref(), "", &run.cancel).unwrap();
    let options = VerifyOptions {
        level,
        sample: None,
        client_folder: None,
        threads: 1,
    };
    let mut all = Vec::new();
    let subjects = found.into_iter().map(Subject::Found).collect();
    verify(store, subjects, None, &options, run, &mut |_, checked| {
        all.push(checked?);
        Ok(())
    })
    .unwrap();
    all
}

const WAYS: [(Codec, bool); 4] = [
    (Codec::Gzip, false),
    (Codec::Zstd, true),
    (Codec::None, false),
    (Codec::Gzip, true),
];

#[test]
fn what_is_whole_raises_no_alarm() {
    for (codec, is_encrypted) in WAYS {
        let scene = Scene::new(codec, is_encrypted);
        assert_eq!(scene.data().len(), 2);
        for level in [Level::Quick, Level::Data, Level::Deep] {
            for checked in scene.verify(level) {
                assert_eq!(checked.damage, [], "{codec}, {is_encrypted}, {level}");
                assert!(!checked.is_incomplete, "{:?}", checked.remarks);
            }
        }
        let checked = &scene.verify(Level::Data)[0];
        assert_eq!(checked.reached, Reached::Data);
        assert_eq!(checked.amount.members, PIECES as u64);
        assert_eq!(checked.amount.plain_bytes, (PIECES * 700) as u64);
    }
}

#[test]
fn the_samples_of_every_format_raise_no_alarm() {
    for format in ["v1", "v2"] {
        let folder = project().join("tests/samples").join(format);
        let store: Arc<dyn Store> = Arc::new(LocalStore::open(folder.join("store")).unwrap());
        let run = Run {
            keys: Keys::new(KeysOptions {
                identity_files: vec![folder.join("key.txt")],
                passphrase: Some(SecretSource::Text(Secret::new("a sample of a passphrase"))),
                ..KeysOptions::default()
            }),
            ..run_at("2026-02-01T02:00:00Z").0
        };
        for level in [Level::Quick, Level::Deep] {
            let all = verify_all(&store, level, &run);
            assert!(all.len() >= 5);
            for checked in all {
                assert_eq!(checked.damage, [], "{format}: {}, {level}", checked.id);
            }
        }
    }
}

#[test]
fn every_byte_of_a_manifest_counts() {
    for (codec, is_encrypted) in [(Codec::Gzip, false), (Codec::Zstd, true)] {
        let scene = Scene::new(codec, is_encrypted);
        let key = &scene.keys(".manifest.json")[0];
        let body = scene.body(key);
        let mut noise = Noise::new(4);
        for at in 0..body.len() {
            for mask in [1 << (noise.number() % 8), 0x20] {
                let mut changed = body.clone();
                changed[at] ^= mask;
                scene.memory.set_body(key, changed);
                let checked = scene.verify(Level::Quick);
                let checked = checked.iter().find(|checked| checked.id == id_of(key)).unwrap();
                assert!(checked.is_damaged(), "byte {at} ^ {mask:02x}: {:?}", checked.remarks);
                let refused = find(&scene.store, &id_of(key), &scene.run);
                assert_eq!(refused.unwrap_err().kind(), Kind::Damaged, "byte {at} ^ {mask:02x}");
            }
        }
        for end in 0..body.len() {
            scene.memory.set_body(key, body[..end].to_vec());
            assert!(find(&scene.store, &id_of(key), &scene.run).is_err(), "cut at {end}");
        }
    }
}

#[test]
fn every_byte_of_an_index_counts() {
    for (codec, is_encrypted) in [(Codec::Gzip, false), (Codec::Gzip, true)] {
        let scene = Scene::new(codec, is_encrypted);
        let key = scene.index();
        let body = scene.body(&key);
        let mut noise = Noise::new(5);
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1 << (noise.number() % 8);
            scene.memory.set_body(&key, changed);
            assert!(scene.is_found(&id_of(&key)), "byte {at}");
        }
    }
}

#[test]
fn every_flipped_bit_of_the_data_is_found_and_nothing_is_restored_from_it() {
    let flips: u64 = std::env::var("BACKUP_CLI_TEST_FLIPS").map_or(10_000, |text| text.parse().unwrap());
    let (found, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for (way, (codec, is_encrypted)) in (0u64..).zip(WAYS) {
            let (found, refused) = (&found, &refused);
            scope.spawn(move || {
                let scene = Scene::new(codec, is_encrypted);
                let key = &scene.data()[0];
                // The other one would only be read along.
                for other in scene.memory.keys() {
                    if id_of(&other) != id_of(key) {
                        scene.store.delete(&backup_cli::store::Key::new(other)).unwrap();
                    }
                }
                let body = scene.body(key);
                let mut noise = Noise::new(100 + way);
                for _ in 0..flips.div_ceil(WAYS.len() as u64) {
                    let bit = noise.number() % (body.len() as u64 * 8);
                    let mut changed = body.clone();
                    changed[(bit / 8) as usize] ^= 1 << (bit % 8);
                    scene.memory.set_body(key, changed);
                    assert!(scene.is_found(&id_of(key)), "{codec}, {is_encrypted}: bit {bit}");
                    found.fetch_add(1, Ordering::Relaxed);
                    assert!(scene.is_refused(&id_of(key)), "{codec}, {is_encrypted}: bit {bit}");
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                scene.memory.set_body(key, body);
                assert!(!scene.is_found(&id_of(key)) && !scene.is_refused(&id_of(key)));
            });
        }
    });
    assert!(found.into_inner() >= flips && refused.into_inner() >= flips);
}

#[test]
fn data_that_is_cut_at_any_edge_is_found() {
    for (codec, is_encrypted) in WAYS {
        let scene = Scene::new(codec, is_encrypted);
        let key = &scene.data()[0];
        let body = scene.body(key);
        let mut ends: Vec<usize> = vec![0, body.len() - 1];
        // Every part, and every member as far as it can be seen.
        ends.extend((0..body.len()).step_by(1000));
        ends.extend((1..body.len()).filter(|at| body[*at..].starts_with(&[0x1f, 0x8b, 8, 4])));
        ends.extend((1..body.len()).filter(|at| body[*at..].starts_with(&[0x50, 0x2a, 0x4d, 0x18])));
        let around: Vec<usize> = ends
            .iter()
            .flat_map(|end| [end.saturating_sub(1), *end, end + 1])
            .collect();
        for end in around.into_iter().filter(|end| *end < body.len()) {
            scene.memory.set_body(key, body[..end].to_vec());
            assert!(scene.is_found(&id_of(key)), "{codec}, {is_encrypted}: cut at {end}");
            assert!(scene.is_refused(&id_of(key)), "{codec}, {is_encrypted}: cut at {end}");
        }
        scene.memory.set_body(key, [&body[..], b"\0"].concat());
        assert!(
            scene.is_found(&id_of(key)) && scene.is_refused(&id_of(key)),
            "a byte more"
        );
    }
}

#[test]
fn what_belongs_to_another_backup_is_found() {
    for (codec, is_encrypted) in WAYS {
        let scene = Scene::new(codec, is_encrypted);
        let (first, second) = (scene.data()[0].clone(), scene.data()[1].clone());
        let (one, other) = (scene.body(&first), scene.body(&second));
        let mut swapped: Vec<Vec<u8>> = vec![other.clone()];
        // Parts that changed their places, within a backup and between two.
        for part in 0..one.len().min(other.len()) / 1000 {
            let range = part * 1000..(part + 1) * 1000;
            let mut mixed = one.clone();
            mixed[range.clone()].copy_from_slice(&other[range.clone()]);
            swapped.push(mixed);
            let mut moved = one.clone();
            moved[range.clone()].copy_from_slice(&one[..1000]);
            moved[..1000].copy_from_slice(&one[range]);
            swapped.push(moved);
        }
        // Members that changed their places: all of them are right by themselves.
        if codec == Codec::Gzip && !is_encrypted {
            let edges: Vec<usize> = (0..one.len())
                .filter(|at| one[*at..].starts_with(&[0x1f, 0x8b, 8, 4]))
                .collect();
            assert_eq!(edges.len(), PIECES);
            let mut members: Vec<&[u8]> = edges.windows(2).map(|edge| &one[edge[0]..edge[1]]).collect();
            members.push(&one[edges[PIECES - 1]..]);
            members.swap(1, 3);
            swapped.push(members.concat());
        }
        for body in swapped.into_iter().filter(|body| *body != one) {
            scene.memory.set_body(&first, body);
            assert!(scene.is_found(&id_of(&first)), "{codec}, {is_encrypted}");
            assert!(scene.is_refused(&id_of(&first)), "{codec}, {is_encrypted}");
        }
        scene.memory.set_body(&first, one);
        let (index, other_index) = (scene.index(), scene.index().replace(&id_of(&first), &id_of(&second)));
        let swapped = scene.body(&other_index);
        scene.memory.set_body(&index, swapped);
        assert!(scene.is_found(&id_of(&first)), "the index of another backup");
    }
}

#[test]
fn a_restore_of_damaged_data_leaves_its_target_alone() {
    let folder = fresh_folder("corruption");
    let scene = Scene::new(Codec::Gzip, false);
    let key = &scene.data()[0];
    let body = scene.body(key);
    let mut noise = Noise::new(8);
    for number in 0..100 {
        let bit = noise.number() % (body.len() as u64 * 8);
        let mut changed = body.clone();
        changed[(bit / 8) as usize] ^= 1 << (bit % 8);
        scene.memory.set_body(key, changed);
        let target = folder.path().join(format!("target-{number}"));
        assert!(restore_to(&scene, &id_of(key), &target).is_err(), "bit {bit}");
        assert!(!target.exists(), "bit {bit}");
    }
    scene.memory.set_body(key, body);
    let target = folder.path().join("target");
    restore_to(&scene, &id_of(key), &target).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), Pieces { seed: 1 }.content());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

fn restore_to(scene: &Scene, id: &str, target: &Path) -> Result<()> {
    let options = RestoreOptions::new(RestoreTarget::Path(target.to_owned()));
    let chosen = find(&scene.store, id, &scene.run)?;
    let plan = plan_restore(&scene.store, chosen, &options, &scene.run)?;
    restore(plan, &options, &mut std::io::sink(), &scene.run).map(drop)
}
