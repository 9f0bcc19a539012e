//! Backups of which something is missing or wrong, and what it means that one has been mended.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;

use super::commands::Flaw;
use super::site::{Fixture, Site, server_options};
use crate::support::fault_s3::{Content, FaultS3};

/// A bucket with something to mend.
pub struct Mended {
    pub content: Content,
    /// The id of what is mended.
    pub id: String,
    /// Its key.
    pub data: String,
    pub index: String,
    pub manifest: String,
    /// Whether its manifest may be replaced.
    pub is_replaced: bool,
    /// Whether it has an index, which may be replaced, too.
    pub has_index: bool,
}

const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.t (a integer);\n\n--\n-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: me\n--\n\nCOPY public.t (a) FROM stdin;\n1\n2\n\\.\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n";

impl Mended {
    /// The bucket with this flaw, made once.
    pub fn of(flaw: Flaw) -> &'static Self {
        static ALL: OnceLock<BTreeMap<Flaw, Mended>> = OnceLock::new();
        let all = ALL.get_or_init(|| {
            [
                Flaw::LostIndex,
                Flaw::LostSealedIndex,
                Flaw::Unmanaged,
                Flaw::DamagedManifest,
            ]
            .map(|flaw| (flaw, Self::make(flaw)))
            .into()
        });
        &all[&flaw]
    }

    fn make(flaw: Flaw) -> Self {
        let fixture = Fixture::shared();
        let server = FaultS3::with(server_options());
        let bucket = server.bucket_with(&fixture.content);
        let id = match flaw {
            Flaw::LostIndex | Flaw::DamagedManifest => fixture.new.clone(),
            Flaw::LostSealedIndex => fixture.sealed.clone(),
            Flaw::Unmanaged => "shop_backup_20260115_143000".to_owned(),
        };
        if flaw == Flaw::Unmanaged {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(DUMP.as_bytes()).expect("a buffer");
            let body = encoder.finish().expect("a buffer");
            let key = format!("backups/20260115/{id}.sql.gz");
            server.client().put(&bucket, &key, &body);
        }
        let content = server.content(&bucket);
        let is_data = |key: &&String| key.contains(&id) && !key.ends_with(".json") && !key.contains(".index.gz");
        let data = content.keys().find(is_data).expect("its data").clone();
        let index = match data.ends_with(".age") {
            true => format!("{data}.index.gz.age"),
            false => format!("{data}.index.gz"),
        };
        let manifest = format!("{data}.manifest.json");
        match flaw {
            Flaw::LostIndex | Flaw::LostSealedIndex => server.tamper(&bucket, &index, |_| None),
            Flaw::Unmanaged => {}
            Flaw::DamagedManifest => {
                let whole = content[&manifest].content();
                server.client().put(&bucket, &manifest, &whole[..200]);
            }
        }
        Self {
            content: server.content(&bucket),
            id,
            data,
            index,
            manifest,
            is_replaced: matches!(flaw, Flaw::LostSealedIndex | Flaw::DamagedManifest),
            has_index: flaw == Flaw::DamagedManifest,
        }
    }

    /// The keys of what may be replaced.
    pub fn may_change(&self) -> impl Iterator<Item = String> {
        let manifest = self.is_replaced.then(|| self.manifest.clone());
        let index = self.has_index.then(|| self.index.clone());
        manifest.into_iter().chain(index)
    }

    /// Whether it is as it was before.
    pub fn is_unmended(&self, content: &Content) -> bool {
        let manifest = |content: &Content| content.get(&self.manifest).map(|object| object.content());
        manifest(content) == manifest(&self.content) && (self.is_replaced || !content.contains_key(&self.index))
    }

    /// Whether it has been mended: everything is there and names each other, and what reads all of it finds nothing wrong.
    ///
    /// # Errors
    /// What is still wrong.
    pub fn check(&self, site: &Site, content: &Content) -> Result<(), String> {
        for key in [&self.index, &self.manifest] {
            if !content.contains_key(key) {
                return Err(format!("it succeeded, and `{key}` is not there"));
            }
        }
        let manifest = content[&self.manifest].content();
        if self.is_replaced && Some(manifest) == self.content.get(&self.manifest).map(|object| object.content()) {
            return Err("it succeeded, and the manifest is the old one".to_owned());
        }
        site.server.heal();
        let key = Fixture::shared().key.path();
        let outcome = site.cli.run(["verify", &self.id, "--level", "deep", "--identity", key]);
        match outcome.code() {
            0 => Ok(()),
            _ => Err(format!("it succeeded, and what it made is not right\n{outcome}")),
        }
    }
}
