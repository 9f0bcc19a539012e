//! Listings: whole, in the order of the keys' bytes, and ended by the visitor.

use std::ops::ControlFlow;

use bytes::Bytes;

use super::{Bench, Case, Verdict, ensure, expect_kind, put_options, told};
use crate::base::failure::{Failure, Kind};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "listings_are_in_the_order_of_bytes",
        run: listings_are_in_the_order_of_bytes,
    },
    Case {
        name: "a_prefix_is_a_text_and_not_a_folder",
        run: a_prefix_is_a_text_and_not_a_folder,
    },
    Case {
        name: "folders_are_listed_once_and_in_order",
        run: folders_are_listed_once_and_in_order,
    },
    Case {
        name: "long_listings_are_whole",
        run: long_listings_are_whole,
    },
    Case {
        name: "the_visitor_ends_a_listing",
        run: the_visitor_ends_a_listing,
    },
    Case {
        name: "the_visitor_may_use_the_store",
        run: the_visitor_may_use_the_store,
    },
];

/// Names around `/` in the order of bytes, where a walk over folders easily gets it wrong. None is both a file and a folder,
/// which a folder store cannot hold.
const ORDERED: &[&str] = &[
    "A/x",
    "Z",
    "a b%20+c&d=e?#/x",
    "a%2Bb",
    "a+b",
    "a-b",
    "a-b-c/x",
    "a-b.manifest.json",
    "a.b",
    "a/0/x",
    "a/b",
    "a/b-c",
    "a/b.index.gz",
    "a0",
    "a_b/x",
    "ab",
    "aü/x",
    "z",
    "é",
    "🦀/x",
];

impl Bench<'_> {
    fn fill(&self, names: &[&str]) -> Verdict {
        self.each(names.len(), &|index| {
            told("put", self.put(names[index], names[index].as_bytes())).map(drop)
        })
    }
}

fn below<'a>(names: &[&'a str], prefix: &str) -> Vec<&'a str> {
    names.iter().copied().filter(|name| name.starts_with(prefix)).collect()
}

fn listings_are_in_the_order_of_bytes(bench: &Bench<'_>) -> Verdict {
    bench.fill(ORDERED)?;
    let listed = bench.list("")?;
    ensure!(listed == ORDERED, "the listing is {listed:?}");
    let mut wrong = Vec::new();
    let listed = bench.store.list(&bench.folder, &mut |meta| {
        let name = meta.key.as_str().strip_prefix(&bench.folder).unwrap_or_default();
        if meta.bytes != name.len() as u64 || meta.modified.is_none() {
            wrong.push(name.to_owned());
        }
        Ok(ControlFlow::Continue(()))
    });
    told("list", listed)?;
    ensure!(
        wrong.is_empty(),
        "the listing has wrong sizes or no times for {wrong:?}"
    );
    Ok(())
}

fn a_prefix_is_a_text_and_not_a_folder(bench: &Bench<'_>) -> Verdict {
    bench.fill(ORDERED)?;
    for prefix in [
        "a", "a/", "a/b", "a-b", "a-b.", "ab", "Z", "aü", "none", "none/", "a/b/",
    ] {
        let listed = bench.list(prefix)?;
        ensure!(listed == below(ORDERED, prefix), "below `{prefix}` are {listed:?}");
    }
    Ok(())
}

fn folders_are_listed_once_and_in_order(bench: &Bench<'_>) -> Verdict {
    bench.fill(&["a/1", "a/2", "a/deep/3", "a-b/1", "a0/1", "b/c/d/1", "top", "a.txt"])?;
    for (prefix, expected) in [
        ("", vec!["a-b/", "a/", "a0/", "b/"]),
        ("a/", vec!["a/deep/"]),
        ("b/", vec!["b/c/"]),
        ("b/c/", vec!["b/c/d/"]),
        ("b/c/d/", vec![]),
        ("none/", vec![]),
    ] {
        let folders = bench.list_folders(prefix)?;
        ensure!(
            folders == expected,
            "below `{prefix}` are the folders {folders:?}, not {expected:?}"
        );
    }
    Ok(())
}

fn long_listings_are_whole(bench: &Bench<'_>) -> Verdict {
    let count = bench.options.list_objects;
    let name = |index: usize| format!("many/{index:06}/x");
    let options = put_options("many");
    bench.each(count, &|index| {
        let put = bench
            .store
            .put(&bench.key(&name(index)), Bytes::from_static(b"x"), &options);
        told("put", put).map(drop)
    })?;
    let listed = bench.list("many/")?;
    ensure!(listed.len() == count, "of {count} objects {} are listed", listed.len());
    ensure!(
        listed.iter().enumerate().all(|(index, listed)| *listed == name(index)),
        "the listing of {count} objects is not in order"
    );
    let folders = bench.list_folders("many/")?;
    ensure!(
        folders.len() == count,
        "of {count} folders {} are listed",
        folders.len()
    );
    ensure!(
        folders.is_sorted() && folders.iter().all(|folder| folder.ends_with('/')),
        "the listing of {count} folders is not in order"
    );
    Ok(())
}

fn the_visitor_ends_a_listing(bench: &Bench<'_>) -> Verdict {
    bench.fill(&["a/1", "b/1", "c/1", "d/1"])?;
    for stop in 1..=4 {
        let mut visits = 0;
        let listed = bench.store.list(&bench.folder, &mut |_| {
            visits += 1;
            Ok(if visits == stop {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        });
        told("list that is broken off", listed)?;
        ensure!(visits == stop, "after the break at {stop} there were {visits} visits");
        let mut visits = 0;
        let listed = bench.store.list_folders(&bench.folder, &mut |_| {
            visits += 1;
            Ok(if visits == stop {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        });
        told("list_folders that is broken off", listed)?;
        ensure!(
            visits == stop,
            "after the break at {stop} there were {visits} visits of folders"
        );
    }
    let refusal = || Failure::new(Kind::Interrupted, "The visitor has had enough");
    let listed = bench.store.list(&bench.folder, &mut |_| Err(refusal()));
    expect_kind("list with a visitor that fails", listed, Kind::Interrupted)?;
    let listed = bench.store.list_folders(&bench.folder, &mut |_| Err(refusal()));
    expect_kind("list_folders with a visitor that fails", listed, Kind::Interrupted)?;
    Ok(())
}

fn the_visitor_may_use_the_store(bench: &Bench<'_>) -> Verdict {
    bench.fill(&["a/1", "b/1", "c/1"])?;
    let mut visits = 0;
    let listed = bench.store.list(&bench.folder, &mut |meta| {
        visits += 1;
        bench.store.head(&meta.key)?;
        bench.store.delete(&meta.key)?;
        Ok(ControlFlow::Continue(()))
    });
    told("list whose visitor deletes", listed)?;
    ensure!(visits == 3, "there were {visits} visits instead of 3");
    let left = bench.list("")?;
    ensure!(left.is_empty(), "there are left {left:?}");
    Ok(())
}
