//! Settings: what is in force, and what is never shown.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::{ANY_PORT, Json, KEYS, SigningKey, code, command, run, stderr, stdout};
use samplit_audit::Signer;

#[test]
fn config_check_shows_everything_but_secrets() {
    for output in ["text", "json"] {
        let checked = command(&[
            "config",
            "check",
            "--output",
            output,
            "--queue-capacity",
            "77",
        ])
        .env("SAMPLIT_DATABASE_URL", "postgresql://me:hunter2@db/x")
        .env("SAMPLIT_KEYS", KEYS)
        .env("SAMPLIT_DRAIN_TIMEOUT", "90s")
        .output()
        .unwrap();
        let text = stdout(&checked);
        assert_eq!(code(&checked), 0, "{text}");
        for shown in ["me:***@db/x", "queue_capacity", "77", "90s"] {
            assert!(text.contains(shown), "{shown} in {text}");
        }
        for hidden in ["hunter2", KEYS] {
            assert!(!text.contains(hidden), "{text}");
            assert!(!stderr(&checked).contains(hidden));
        }
    }
}

#[test]
fn config_check_shows_who_signs_and_where_it_goes_but_no_secret() {
    let (one, other) = (SigningKey::make(), SigningKey::make());
    for output in ["text", "json"] {
        let keys = format!("{}\n{}\n", one.secret(), other.secret());
        let checked = command(&["config", "check", "--output", output])
            .env("SAMPLIT_DATABASE_URL", "postgresql://h/d")
            .env("SAMPLIT_KEYS", KEYS)
            .env("SAMPLIT_SIGNING_KEYS", keys)
            .env("SAMPLIT_CHECKPOINT_DIR", "/tmp")
            .env(
                "SAMPLIT_CHECKPOINT_WEBHOOK",
                "https://me:hunter2@hooks.example.org/t0ken?s=e",
            )
            .output()
            .unwrap();
        let text = stdout(&checked);
        assert_eq!(code(&checked), 0, "{text}");
        for shown in [
            &one.public,
            &other.public,
            "https://hooks.example.org/***",
            "30s",
        ] {
            assert!(text.contains(shown), "{shown} in {text}");
        }
        for hidden in [
            "PRIVATE",
            &one.secret(),
            &other.secret(),
            "hunter2",
            "t0ken",
        ] {
            assert!(!text.contains(hidden), "{text}");
            assert!(!stderr(&checked).contains(hidden));
        }
    }
}

#[test]
fn config_check_finds_what_is_wrong_with_checkpoints() {
    let key = SigningKey::make();
    let twice = format!("{0} {0}", key.secret());
    let broken = key.secret().replacen("example", "exbmple", 1);
    for (name, value, told) in [
        (
            "SAMPLIT_SIGNING_KEYS",
            twice.as_str(),
            "key 2 is there twice",
        ),
        ("SAMPLIT_SIGNING_KEYS", &broken, "key 1 cannot be used"),
        ("SAMPLIT_SIGNING_KEYS", " ", "no signing key"),
        (
            "SAMPLIT_SIGNING_KEYS_FILE",
            "/nowhere/keys",
            "cannot read /nowhere/keys",
        ),
        (
            "SAMPLIT_CHECKPOINT_DIR",
            "/nowhere/notes",
            "no directory /nowhere/notes",
        ),
        ("SAMPLIT_CHECKPOINT_EVERY", "0s", "--checkpoint-every"),
        (
            "SAMPLIT_CHECKPOINT_WEBHOOK",
            "https://h/x",
            "without a signing key",
        ),
    ] {
        let mut check = command(&["config", "check"]);
        check
            .env("SAMPLIT_DATABASE_URL", "postgresql://h/d")
            .env("SAMPLIT_KEYS", KEYS);
        let checked = check.env(name, value).output().unwrap();
        assert_eq!(code(&checked), 1, "{name}={value}");
        let text = stdout(&checked);
        assert!(text.contains(told), "{told} in {text}");
        // Behind `PRIVATE+KEY+<name>+<id>+`; base64 may hold a `+` of its own.
        let material = value.splitn(5, '+').nth(4).unwrap_or("PRIVATE+KEY+example");
        assert!(!text.contains(material), "{text}");
    }
}

#[test]
fn keys_whose_signatures_fit_no_line_are_told_at_the_start() {
    let keys = |count: u8, length: usize| -> String {
        let key = |seed: u8| Signer::from_seed(&"o".repeat(length), &[seed; 32]).unwrap();
        let keys: Vec<String> = (0..count).map(|seed| key(seed).expose()).collect();
        keys.join("\n")
    };
    for (keys, expected) in [(keys(40, 255), 0), (keys(60, 255), 1), (keys(101, 5), 1)] {
        let mut check = command(&["config", "check"]);
        check
            .env("SAMPLIT_DATABASE_URL", "postgresql://h/d")
            .env("SAMPLIT_KEYS", KEYS)
            .env("SAMPLIT_SIGNING_KEYS", keys);
        let checked = check.output().unwrap();
        let text = stdout(&checked);
        assert_eq!(code(&checked), expected, "{text}");
        let told = text.contains("the signing keys cannot be used");
        assert_eq!(told, expected == 1, "{text}");
    }
}

#[test]
fn a_key_file_that_everybody_can_read_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys");
    std::fs::write(&file, SigningKey::make().secret()).unwrap();
    for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true), (0o666, true)] {
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let mut check = command(&["config", "check"]);
        check
            .env("SAMPLIT_DATABASE_URL", "postgresql://h/d")
            .env("SAMPLIT_KEYS", KEYS)
            .env("SAMPLIT_SIGNING_KEYS_FILE", &file);
        let checked = check.output().unwrap();
        let text = stderr(&checked) + &stdout(&checked);
        assert_eq!(code(&checked), 0, "{text}");
        assert_eq!(
            text.contains("everybody on this machine"),
            warned,
            "{mode:o}: {text}"
        );
    }
}

#[test]
fn a_webhook_that_cannot_be_read_is_not_repeated() {
    let key = SigningKey::make();
    for address in ["t0ken", "hooks.example.org/t0ken", "https://me:t0ken@[h/x"] {
        for arguments in [&["config", "check"][..], &ANY_PORT] {
            let refused = command(arguments)
                .env("SAMPLIT_DATABASE_URL", "postgresql://h/d")
                .env("SAMPLIT_KEYS", KEYS)
                .env("SAMPLIT_SIGNING_KEYS_FILE", key.file())
                .env("SAMPLIT_CHECKPOINT_WEBHOOK", address)
                .output()
                .unwrap();
            assert_eq!(code(&refused), 1);
            let told = stdout(&refused) + &stderr(&refused);
            assert!(
                told.contains("--checkpoint-webhook: write http:// or https://"),
                "{told}"
            );
            assert!(!told.contains("t0ken"), "{told}");
        }
    }
}

#[test]
fn config_check_reads_the_secret_and_the_app_of_shops_and_shows_neither() {
    let check = |settings: &[(&str, &str)]| {
        let mut check = command(&["config", "check"]);
        check
            .env("SAMPLIT_DATABASE_URL", "postgresql://h/d")
            .env("SAMPLIT_KEYS", KEYS);
        let checked = check.envs(settings.iter().copied()).output().unwrap();
        (code(&checked), stdout(&checked))
    };
    let secret = ("SAMPLIT_SECRET", KEYS);
    let id = ("SAMPLIT_SHOPIFY_CLIENT_ID", "client-7");
    let hush = ("SAMPLIT_SHOPIFY_CLIENT_SECRET", "shpss_hush");
    let stripe = ("SAMPLIT_STRIPE_WEBHOOK_SECRET", "whsec_hush");
    let (exit, text) = check(&[secret, id, hush, stripe]);
    assert_eq!(exit, 0, "{text}");
    assert!(text.contains("client-7"), "{text}");
    assert!(!text.contains("_hush") && !text.contains(KEYS), "{text}");
    for (settings, told) in [
        (
            &[("SAMPLIT_SECRET", "c2hvcnQ=")][..],
            "secret 1 is shorter than 32 bytes",
        ),
        (
            &[("SAMPLIT_SECRET", "hunter2!")],
            "neither hexadecimal nor base64",
        ),
        (
            &[("SAMPLIT_SECRET_FILE", "/nowhere/secret")],
            "cannot read /nowhere/secret",
        ),
        (&[id, hush], "needs a secret"),
        (&[secret, id], "one needs the other"),
        (
            &[("SAMPLIT_STRIPE_WEBHOOK_SECRET", "sk_hunter2")],
            "is not what Stripe shows",
        ),
    ] {
        let (exit, text) = check(settings);
        assert_eq!(exit, 1, "{text}");
        assert!(text.contains(told), "{told} in {text}");
        assert!(
            !text.contains("hunter2") && !text.contains("c2hvcnQ="),
            "{text}"
        );
    }
}

#[test]
fn config_check_says_what_is_wrong_without_repeating_it() {
    let checked = command(&["config", "check", "--output", "json"])
        .env("SAMPLIT_DATABASE_URL", "postgresql://me:hunter2@[/x")
        .env("SAMPLIT_KEYS", "not-a-key")
        .output()
        .unwrap();
    assert_eq!(code(&checked), 1);
    let text = stdout(&checked);
    let report: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(report["problems"].as_array().unwrap().len(), 2, "{text}");
    for hidden in ["hunter2", "not-a-key"] {
        assert!(!text.contains(hidden), "{text}");
    }
}

#[test]
fn help_does_not_show_what_the_environment_holds() {
    for arguments in [&["serve", "--help"][..], &["admin", "create-key", "--help"]] {
        let help = command(arguments)
            .env("SAMPLIT_DATABASE_URL", "postgresql://me:hunter2@db/x")
            .env("SAMPLIT_KEYS", KEYS)
            .output()
            .unwrap();
        assert_eq!(code(&help), 0);
        let text = stdout(&help);
        assert!(text.contains("SAMPLIT_DATABASE_URL"), "{text}");
        assert!(!text.contains("hunter2") && !text.contains(KEYS), "{text}");
    }
}

#[test]
fn a_generated_key_is_a_key_and_another_each_time() {
    let key = || stdout(&run(&["admin", "generate-key"])).trim().to_owned();
    let (one, other) = (key(), key());
    assert_ne!(one, other);
    let checked = command(&["config", "check", "--database-url", "postgresql://h/d"])
        .env("SAMPLIT_KEYS", format!("{one},{other}"))
        .output()
        .unwrap();
    assert_eq!(code(&checked), 0, "{}", stdout(&checked));
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    assert_eq!(code(&run(&["serve", "--drain-timeout", "soon"])), 64);
    assert_eq!(code(&run(&["audit", "verify"])), 64);
    assert_eq!(code(&run(&["--version"])), 0);
}
