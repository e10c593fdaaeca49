//! A trail with everything in it, its owner, and the four who look at what the owner has done.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use samplit_audit::{
    Checkpoint, Entry, FailureKind, Hash, Head, Options, Payload, SignedCheckpoint, Signer, bundle,
    checkpoint,
};
use samplit_devpg::TestDatabase;
use samplit_domain::Transition;
use samplit_engine::{
    BanditRule, BundleRange, Engine, ErrorKind, ExperimentId, Principal, from_micros,
};
use samplit_tests::{connect, database, draft, engine_with, fixed, start, step};
use tokio_postgres::Client;

use crate::{conversion, visitor};

/// `None`: nothing noticed.
pub(super) type Found = Option<FailureKind>;

/// What each of the four says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdicts {
    pub(super) in_place: Found,
    pub(super) bundle: Found,
    pub(super) pinned: Found,
    pub(super) kept: Found,
}

pub(super) const INTEGRITY: Found = Some(FailureKind::Integrity);
pub(super) const SIGNATURE: Found = Some(FailureKind::Signature);
pub(super) const REPLAY: Found = Some(FailureKind::Replay);

pub(super) struct Scene {
    pub(super) _database: TestDatabase,
    pub(super) engine: Engine,
    pub(super) owner: Client,
    pub(super) id: ExperimentId,
    /// The last checkpoint before the attack, as the auditor has it.
    pub(super) kept: Checkpoint,
}

pub(super) fn signer() -> Signer {
    Signer::from_seed("tests.example", &[9; 32]).unwrap()
}

impl Scene {
    /// A trail with every kind of entry that traffic and operators leave, signed in the middle and at
    /// its end, and then the triggers switched off.
    pub(super) async fn new() -> Self {
        let database = database().await;
        let mut config = fixed(2);
        config.signers = [signer()].into();
        // Only when asked, however long the attacks take.
        config.checkpoint_every = Duration::from_secs(3_600);
        let engine = engine_with(database.url(), config).await;
        let me = Principal::system();
        let mut two = draft(&[2]);
        two.allocation.warm_up = 5;
        let experiment = start(&engine, two).await;
        let id = experiment.id;
        for number in 0..20 {
            let name = format!("visitor-{number}");
            engine.assign(&me, id, visitor(&name)).await.unwrap();
            if number % 3 == 0 {
                engine.convert(&me, id, conversion(&name)).await.unwrap();
            }
        }
        engine.sign_checkpoint(&me, id).await.unwrap();
        let owner = connect(database.url()).await;
        engine.redact(&me, id, 2, "a request").await.unwrap();
        step(&engine, &experiment, Transition::Complete).await;
        // The last entry is a conversion, of which no reallocation tells.
        engine
            .convert(&me, id, conversion("visitor-1"))
            .await
            .unwrap();
        engine.sign_checkpoint(&me, id).await.unwrap();
        let note = engine.checkpoint(&me, id).await.unwrap().note;
        let kept = SignedCheckpoint::parse(&note).unwrap().checkpoint().clone();
        owner
            .batch_execute(
                "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER ALL;
                 ALTER TABLE audit_checkpoints DISABLE TRIGGER ALL;
                 CREATE TABLE safe_trail (LIKE algorithm_audit_trail);
                 CREATE TABLE safe_heads (LIKE audit_heads);
                 CREATE TABLE safe_checkpoints (LIKE audit_checkpoints)",
            )
            .await
            .unwrap();
        let scene = Self {
            _database: database,
            engine,
            owner,
            id,
            kept,
        };
        scene.save().await;
        scene
    }

    /// The two kinds of entry that are left: the end, and what an operator says after a restore.
    pub(super) async fn seal_and_restore(&self) {
        let me = Principal::system();
        self.engine.seal(&me, self.id, true).await.unwrap();
        let lost = Checkpoint {
            size: self.kept.size + 100,
            root: Hash::of(b"lost"),
            ..self.kept.clone()
        };
        let note = checkpoint::sign(&lost, &[signer()]).unwrap();
        let size = i64::try_from(lost.size).unwrap();
        self.owner
            .execute(
                "INSERT INTO audit_checkpoints (experiment_id, incarnation, size, root, note)
                 VALUES ($1, 1, $2, $3, $4)",
                &[&self.id.0, &size, &lost.root.to_string(), &note],
            )
            .await
            .unwrap();
        self.sql("UPDATE audit_heads SET hold = 'restored'").await;
        self.engine
            .acknowledge_restore(&me, self.id, "the disk died", &[])
            .await
            .unwrap();
    }

    /// What [`undo`](Self::undo) goes back to.
    pub(super) async fn save(&self) {
        self.owner
            .batch_execute(
                "TRUNCATE safe_trail, safe_heads, safe_checkpoints;
                 INSERT INTO safe_trail TABLE algorithm_audit_trail;
                 INSERT INTO safe_heads TABLE audit_heads;
                 INSERT INTO safe_checkpoints TABLE audit_checkpoints",
            )
            .await
            .unwrap();
    }

    /// Undoes an attack.
    pub(super) async fn undo(&self) {
        self.owner
            .batch_execute(
                "DELETE FROM audit_checkpoints; DELETE FROM algorithm_audit_trail; DELETE FROM audit_heads;
                 INSERT INTO audit_heads TABLE safe_heads;
                 INSERT INTO algorithm_audit_trail TABLE safe_trail;
                 INSERT INTO audit_checkpoints TABLE safe_checkpoints",
            )
            .await
            .unwrap();
    }

    pub(super) async fn sql(&self, attack: &str) {
        let done = self.owner.execute(attack, &[]).await;
        assert_ne!(done.unwrap(), 0, "{attack}");
    }

    pub(super) async fn entries(&self) -> Vec<Entry> {
        let rows = self
            .owner
            .query(
                "SELECT sequence_number, id, decision_type, decision_data::text, created_at, previous_hash,
                 current_hash FROM algorithm_audit_trail WHERE experiment_id = $1 ORDER BY 1",
                &[&self.id.0],
            )
            .await
            .unwrap();
        let entries = rows.iter().map(|row| {
            let hash = |index| row.get::<_, &str>(index).parse::<Hash>().unwrap();
            Entry {
                experiment_id: self.id.0,
                sequence_number: row.get::<_, i64>(0).try_into().unwrap(),
                previous_hash: hash(5),
                id: row.get(1),
                decision_type: row.get::<_, &str>(2).parse().unwrap(),
                created_at_us: samplit_domain::to_micros(row.get(4)),
                payload: Payload::from_text(row.get::<_, &str>(3).as_bytes()).unwrap(),
                current_hash: hash(6),
            }
        });
        entries.collect()
    }

    /// Writes another history, every hash of it recomputed, and the head that belongs to it.
    pub(super) async fn rewrite(&self, history: &[Entry]) -> Head {
        let mut head = Head::new(self.id.0);
        let delete = "DELETE FROM algorithm_audit_trail WHERE experiment_id = $1";
        self.owner.execute(delete, &[&self.id.0]).await.unwrap();
        for old in history {
            let new = head.append(
                old.id,
                old.decision_type,
                old.created_at_us,
                old.payload.clone(),
            );
            self.owner
                .execute(
                    "INSERT INTO algorithm_audit_trail (id, experiment_id, sequence_number, decision_type,
                     decision_data, previous_hash, current_hash, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                    &[
                        &new.id,
                        &new.experiment_id,
                        &i64::try_from(new.sequence_number).unwrap(),
                        &new.decision_type.as_str(),
                        &new.payload.to_json(),
                        &new.previous_hash.to_string(),
                        &new.current_hash.to_string(),
                        &from_micros(new.created_at_us),
                    ],
                )
                .await
                .unwrap();
        }
        self.owner
            .execute(
                "UPDATE audit_heads SET size = $2, head_hash = $3, frontier = $4, last_us = $5
                 WHERE experiment_id = $1",
                &[
                    &self.id.0,
                    &i64::try_from(head.size()).unwrap(),
                    &head.hash().to_string(),
                    &head.frontier_bytes(),
                    &head.last_us(),
                ],
            )
            .await
            .unwrap();
        head
    }

    /// Signs the head with the operator's own key, as if nothing had been signed before.
    pub(super) async fn sign_anew(&self, head: &Head) {
        let checkpoint = Checkpoint {
            origin: self.kept.origin.clone(),
            size: head.size(),
            root: head.root(),
        };
        let note = checkpoint::sign(&checkpoint, &[signer()]).unwrap();
        self.owner
            .execute("DELETE FROM audit_checkpoints", &[])
            .await
            .unwrap();
        self.owner
            .execute(
                "INSERT INTO audit_checkpoints (experiment_id, incarnation, size, root, note, frontier)
                 VALUES ($1, 1, $2, $3, $4, $5)",
                &[
                    &self.id.0,
                    &i64::try_from(head.size()).unwrap(),
                    &head.root().to_string(),
                    &note,
                    &head.frontier_bytes(),
                ],
            )
            .await
            .unwrap();
    }

    pub(super) async fn verdicts(&self) -> Verdicts {
        let me = Principal::system();
        let in_place = match self.engine.verify(&me, self.id).await {
            Ok(Ok(_)) => None,
            Ok(Err(failure)) => Some(failure.kind),
            Err(error) => panic!("not verified: {error:?}"),
        };
        let range = BundleRange {
            after: 0,
            size: None,
        };
        let lines = match self.engine.bundle(&me, self.id, range).await {
            Ok(bundle) => bundle.lines.try_concat().await,
            Err(error) => Err(error),
        };
        let audit = |keys, known| match &lines {
            // What cannot even be written as a bundle is noticed by everybody.
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Internal), "{error:?}");
                INTEGRITY
            }
            Ok(lines) => {
                let options = Options {
                    keys,
                    known,
                    replay: true,
                    rule: Some(Box::new(BanditRule)),
                    ..Options::default()
                };
                bundle::verify(lines.as_slice(), options)
                    .err()
                    .map(|failure| failure.kind)
            }
        };
        let key = || vec![signer().verifying_key().clone()];
        Verdicts {
            in_place,
            bundle: audit(Vec::new(), Vec::new()),
            pinned: audit(key(), Vec::new()),
            kept: audit(key(), vec![self.kept.clone()]),
        }
    }
}

pub(super) fn everybody(found: Found) -> Verdicts {
    Verdicts {
        in_place: found,
        bundle: found,
        pinned: found,
        kept: found,
    }
}
