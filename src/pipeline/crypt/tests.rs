//! Encryption: what was encrypted comes back as a stream and by ranges, to those who hold a key, whole or not at all.

use std::io::{Read, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::base::secret::{Secret, SecretSource};
use crate::pipeline::testing::noise;

const WHAT: Sealed<'static> = Sealed {
    what: "`x`",
    recipients: &[],
};

fn pair() -> (Keys, Recipients, Secret) {
    let (secret, public) = generate_identity();
    let keys = Keys::new(KeysOptions {
        identity: Some(SecretSource::Text(secret.clone())),
        ..KeysOptions::default()
    });
    (keys, Recipients::of_keys(&[public.0]).unwrap(), secret)
}

fn passphrase(text: &str) -> Keys {
    Keys::new(KeysOptions {
        passphrase: Some(SecretSource::Text(Secret::new(text))),
        ..KeysOptions::default()
    })
}

fn encrypt(plain: &[u8], recipients: &Recipients) -> Vec<u8> {
    let mut sealer = Sealer::new(Vec::new(), Some(recipients)).unwrap();
    for piece in plain.chunks(10_000) {
        sealer.write_all(piece).unwrap();
    }
    sealer.finish().unwrap()
}

fn decrypt(file: &[u8], keys: &Keys) -> Result<Vec<u8>> {
    let mut input = file;
    let header = read_header(&mut input, &WHAT)?;
    let mut reader = keys.unlock(header, &WHAT)?.reader(input, "`x`")?;
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).map_err(|error| from_io("read", error))?;
    Ok(plain)
}

fn chunks(file: &[u8], keys: &Keys) -> Result<Chunks> {
    let header = read_header(file, &WHAT)?;
    Chunks::new(keys.unlock(header, &WHAT)?, file.len() as u64, "`x`")
}

fn range(file: &[u8], keys: &Keys, range: Range<u64>) -> Result<Vec<u8>> {
    let chunks = chunks(file, keys)?;
    let stored = chunks.stored_range(&range);
    let mut plain = Vec::new();
    chunks.decrypt(&range, &file[stored.start as usize..stored.end as usize], &mut plain)?;
    Ok(plain)
}

/// Lengths around the ends of chunks.
const LENGTHS: [usize; 8] = [0, 1, 1000, 65_535, 65_536, 65_537, 131_072, 200_000];

#[test]
fn what_was_encrypted_comes_back_at_every_length() {
    let (keys, recipients, _) = pair();
    for length in LENGTHS {
        let plain = noise(length, 1);
        let file = encrypt(&plain, &recipients);
        assert!(is_age(&file));
        assert_eq!(decrypt(&file, &keys).unwrap(), plain, "{length}");
        assert_eq!(chunks(&file, &keys).unwrap().plain_bytes(), length as u64);
    }
}

#[test]
fn every_range_comes_back_from_its_own_chunks_alone() {
    let (keys, recipients, _) = pair();
    let edges = [
        0u64, 1, 2, 65_534, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 150_000, 199_999,
    ];
    for length in LENGTHS {
        let plain = noise(length, 2);
        let file = encrypt(&plain, &recipients);
        let ends = edges
            .into_iter()
            .chain([length as u64])
            .filter(|edge| *edge <= length as u64);
        for end in ends.clone() {
            for start in ends.clone().filter(|start| *start <= end) {
                let expected = &plain[start as usize..end as usize];
                assert_eq!(
                    range(&file, &keys, start..end).unwrap(),
                    expected,
                    "{start}..{end} of {length}"
                );
            }
        }
    }
    let file = encrypt(&noise(10 << 20, 3), &recipients);
    let stored = chunks(&file, &keys).unwrap().stored_range(&(5 << 20..(5 << 20) + 10));
    assert_eq!(stored.end - stored.start, 65_552);
}

#[test]
fn a_file_that_is_cut_anywhere_never_ends_well() {
    let (keys, recipients, _) = pair();
    let file = encrypt(&noise(150_000, 4), &recipients);
    let edges = (0..400).chain((400..file.len()).step_by(977)).chain([file.len() - 1]);
    for end in edges {
        let failure = decrypt(&file[..end], &keys).unwrap_err();
        // Within the header a cut may leave something that no key is in.
        assert!(
            matches!(failure.kind(), Kind::Damaged | Kind::WrongKey),
            "cut at {end}: {failure:?}"
        );
    }
    // At the end of a chunk nothing but the mark of the last one is missing.
    let whole = encrypt(&noise(131_072, 5), &recipients);
    let cut = &whole[..whole.len() - 65_552];
    assert_eq!(decrypt(cut, &keys).unwrap_err().kind(), Kind::Damaged);
    assert_eq!(range(cut, &keys, 0..65_536).unwrap_err().kind(), Kind::Damaged);
    assert_eq!(range(cut, &keys, 65_000..65_536).unwrap_err().kind(), Kind::Damaged);
    assert!(chunks(&whole[..whole.len() - 131_104], &keys).is_err());
}

#[test]
fn a_changed_bit_a_swapped_chunk_and_a_longer_file_are_damage() {
    let (keys, recipients, _) = pair();
    let plain = noise(200_000, 6);
    let file = encrypt(&plain, &recipients);
    let header_bytes = read_header(&file[..], &WHAT).unwrap().len();
    for at in (0..file.len()).step_by(613).chain(header_bytes - 20..header_bytes + 40) {
        let mut changed = file.clone();
        changed[at] ^= 4;
        let failure = decrypt(&changed, &keys).unwrap_err();
        match at < header_bytes - 16 {
            true => assert!(
                matches!(failure.kind(), Kind::Damaged | Kind::WrongKey | Kind::Unsupported),
                "{at}"
            ),
            // The nonce at the end of the header is a part of every chunk's key.
            false => assert_eq!(failure.kind(), Kind::Damaged, "{at}"),
        }
        if at > header_bytes {
            let chunk = ((at - header_bytes) / 65_552) as u64;
            let around = chunk * 65_536..(chunk * 65_536 + 10);
            assert_eq!(
                range(&changed, &keys, around).unwrap_err().kind(),
                Kind::Damaged,
                "{at}"
            );
        }
    }
    let mut swapped = file.clone();
    let (first, second) = swapped[header_bytes..].split_at_mut(65_552);
    first.swap_with_slice(&mut second[..65_552]);
    assert_eq!(decrypt(&swapped, &keys).unwrap_err().kind(), Kind::Damaged);
    assert_eq!(
        range(&swapped, &keys, 65_536..65_546).unwrap_err().kind(),
        Kind::Damaged
    );
    let longer = [&file[..], b"x"].concat();
    assert_eq!(decrypt(&longer, &keys).unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn a_stream_that_was_not_finished_cannot_be_decrypted() {
    let (keys, recipients, _) = pair();
    let mut file = Vec::new();
    let mut sealer = Sealer::new(&mut file, Some(&recipients)).unwrap();
    sealer.write_all(&noise(300_000, 7)).unwrap();
    drop(sealer);
    assert_eq!(decrypt(&file, &keys).unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn each_of_several_recipients_opens_it_and_nobody_else() {
    let (first_keys, _, first) = pair();
    let (second_keys, _, second) = pair();
    let (other_keys, _, _) = pair();
    let public = |secret: &Secret| {
        let identity: age::x25519::Identity = secret.expose().parse().unwrap();
        identity.to_public().to_string()
    };
    let names = vec![public(&first), public(&second)];
    let recipients = Recipients::of_keys(&[&names[0], &names[1], &names[0]]).unwrap();
    assert_eq!(recipients.names(), names);
    let file = encrypt(b"content", &recipients);
    assert_eq!(decrypt(&file, &first_keys).unwrap(), b"content");
    assert_eq!(decrypt(&file, &second_keys).unwrap(), b"content");
    let sealed = Sealed {
        what: "`x`",
        recipients: &names,
    };
    let header = read_header(&file[..], &WHAT).unwrap();
    for keys in [other_keys, Keys::default(), passphrase("unrelated")] {
        let failure = keys.unlock(header.clone(), &sealed).map(|_| ()).unwrap_err();
        assert_eq!(failure.kind(), Kind::WrongKey);
        let hints = failure.hints().join(" ");
        assert!(
            hints.contains(&names[0]) && hints.contains(&names[1]) && hints.contains("--identity"),
            "{hints}"
        );
    }
}

#[test]
fn a_passphrase_opens_what_it_encrypted_and_is_asked_for_once() {
    let recipients = Recipients::of_passphrase(Secret::new("correct horse")).unwrap();
    assert_eq!(recipients.names(), [PASSPHRASE_RECIPIENT]);
    let file = encrypt(b"content", &recipients);
    assert_eq!(decrypt(&file, &passphrase("correct horse")).unwrap(), b"content");
    assert_eq!(
        decrypt(&file, &passphrase("wrong horse")).unwrap_err().kind(),
        Kind::WrongKey
    );
    assert_eq!(decrypt(&file, &Keys::default()).unwrap_err().kind(), Kind::WrongKey);

    let asked = std::sync::Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let keys = Keys::new(KeysOptions {
        ask: Some(std::sync::Arc::new(move |prompt: &str| {
            assert!(prompt.contains("`x`"), "{prompt}");
            let answer = match count.fetch_add(1, Ordering::Relaxed) {
                0 => "a slip",
                _ => "correct horse",
            };
            Ok(Some(Secret::new(answer)))
        })),
        ..KeysOptions::default()
    });
    for _ in 0..2 {
        assert_eq!(decrypt(&file, &keys).unwrap(), b"content");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert!(Recipients::of_passphrase(Secret::new("")).is_err());
}

#[test]
fn an_excessive_work_factor_is_refused_before_it_is_spent() {
    let mut recipient = age::scrypt::Recipient::new(age::secrecy::SecretString::from("x"));
    recipient.set_work_factor(1);
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
    let mut file = Vec::new();
    encryptor.wrap_output(&mut file).unwrap().finish().unwrap();
    let text = String::from_utf8_lossy(&file).into_owned();
    let at = text.find(" 1\n").unwrap();
    let excessive = [&file[..at], b" 30", &file[at + 2..]].concat();
    assert_eq!(
        decrypt(&excessive, &passphrase("x")).unwrap_err().kind(),
        Kind::Unsupported
    );
}

#[test]
fn identity_files_are_read_as_age_keygen_and_age_write_them() {
    let folder = tempfile::tempdir().unwrap();
    let (_, recipients, secret) = pair();
    let file = encrypt(b"content", &recipients);
    let content = format!(
        "# created: today\n# public key: {}\n{}\n",
        recipients.names()[0],
        secret.expose()
    );
    // What is a secret is masked in all messages of the process, other tests' too: a word that they use would be, as well.
    let protected = protect(content.as_bytes(), Secret::new("long staple")).unwrap();
    let armored = {
        let format = age::armor::Format::AsciiArmor;
        let mut writer = age::armor::ArmoredWriter::wrap_output(Vec::new(), format).unwrap();
        writer.write_all(&protected).unwrap();
        writer.finish().unwrap()
    };
    for (name, bytes) in [
        ("plain", content.as_bytes()),
        ("protected", &protected),
        ("armored", &armored),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let keys = |passphrase: &str| {
            Keys::new(KeysOptions {
                identity_files: vec![path.clone()],
                passphrase: Some(SecretSource::Text(Secret::new(passphrase))),
                ..KeysOptions::default()
            })
        };
        assert_eq!(decrypt(&file, &keys("long staple")).unwrap(), b"content", "{name}");
        assert_eq!(
            keys("long staple").public_keys().unwrap(),
            [PublicKey(recipients.names()[0].clone())]
        );
        if name != "plain" {
            assert_eq!(
                decrypt(&file, &keys("other staple")).unwrap_err().kind(),
                Kind::WrongKey
            );
        }
    }
    for (name, bytes) in [
        ("empty", &b"# nothing\n"[..]),
        ("other", b"ssh-ed25519 AAAA\n"),
        ("binary", b"\xff\xfe"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let keys = Keys::new(KeysOptions {
            identity_files: vec![path],
            ..KeysOptions::default()
        });
        let failure: Failure = decrypt(&file, &keys).unwrap_err();
        assert_eq!(failure.kind(), Kind::WrongKey, "{name}");
        assert!(failure.message().contains(name), "{failure:?}");
    }
    let missing = Keys::new(KeysOptions {
        identity_files: vec![folder.path().join("missing")],
        ..KeysOptions::default()
    });
    assert_eq!(decrypt(&file, &missing).unwrap_err().kind(), Kind::WrongKey);
}

#[test]
fn what_is_no_public_key_is_no_recipient() {
    let (_, recipients, secret) = pair();
    for (text, word) in [
        (secret.expose(), "secret key"),
        ("age1nonsense", "Not a recipient"),
        ("ssh-ed25519 AAAA", "Not a recipient"),
    ] {
        let failure = Recipients::of_keys(&[text]).unwrap_err();
        assert_eq!(failure.kind(), Kind::Config);
        assert!(failure.message().contains(word), "{failure:?}");
        assert!(!format!("{failure:?}{:?}", failure.hints()).contains(secret.expose()));
    }
    assert!(Recipients::of_keys::<&str>(&[]).is_err());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipients");
    std::fs::write(&path, format!("# ours\n\n{}\n", recipients.names()[0])).unwrap();
    assert_eq!(Recipients::read_file(&path).unwrap(), recipients.names());
    std::fs::write(&path, "# nobody\n").unwrap();
    assert_eq!(Recipients::read_file(&path).unwrap_err().kind(), Kind::Config);
    assert!(Recipients::read_file(&folder.path().join("missing")).is_err());
}
