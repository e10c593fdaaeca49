//! Coming in: links of the operator and of the server, and mail.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use samplit_devpg::TestDatabase;
use serde_json::json;

use crate::support::{
    ANY_PORT, Json, Running, code, command, migrated, on, run_on, stderr, stdout,
};

/// A password that will do.
pub(crate) const PASSWORD: &str = "canary-sentence-3Bd of words";

/// An answer: its status, its head, its body.
pub(crate) type Answer = (u16, String, String);

/// Asks as a browser does on a page of the server, with the token of a session.
pub(crate) fn ask(
    address: SocketAddr,
    (method, path): (&str, &str),
    session: Option<&str>,
    body: &Json,
) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let cookie = session.map(|token| format!("Cookie: __Host-samplit_session={token}\r\n"));
    let cookie = cookie.unwrap_or_default();
    let body = body.to_string();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: test\r\nSec-Fetch-Site: same-origin\r\n{cookie}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

/// The token of the session that an answer begins.
pub(crate) fn session_of(answer: &Answer) -> String {
    assert_eq!(answer.0, 201, "{}", answer.2);
    let (_, rest) = answer.1.split_once("__Host-samplit_session=").unwrap();
    rest.split(';').next().unwrap().to_owned()
}

/// The token in a link, which goes on to the first character that no token has.
pub(crate) fn token_of(text: &str) -> String {
    let (_, rest) = text.split_once("/join/").unwrap();
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    rest.split(|c| !is_token(c)).next().unwrap().to_owned()
}

/// A link of the command line.
pub(crate) fn link(database: &TestDatabase, arguments: &[&str]) -> String {
    let all = [&["admin"], arguments].concat();
    let made = on(database, &all)
        .env_remove("SAMPLIT_KEYS")
        .output()
        .unwrap();
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    token_of(&stdout(&made))
}

/// Signs the first admin in, by a link.
pub(crate) fn set_up(address: SocketAddr, token: &str, email: &str) -> String {
    let body = json!({"token": token, "email": email, "password": PASSWORD});
    session_of(&ask(address, ("POST", "/v1/links/redeem"), None, &body))
}

#[tokio::test]
async fn serve_says_how_to_come_in_until_somebody_has() {
    let database = migrated().await;
    let mut server = Running::start(on(&database, &ANY_PORT));
    server.addresses();
    let log = stderr(&server.terminate());
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("/join/")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    let logged = token_of(lines[0]);

    let mut server = Running::start(on(&database, &ANY_PORT));
    let (api, _) = server.addresses();
    // The newest is good; its own, and that of the last start, ended in its favour.
    let newest = link(&database, &["setup-link"]);
    set_up(api, &newest, "me@example.org");
    let body = json!({"token": logged, "email": "you@example.org", "password": PASSWORD});
    let late = ask(api, ("POST", "/v1/links/redeem"), None, &body);
    assert_eq!(late.0, 410, "{}", late.2);
    let refused = run_on(&database, &["admin", "setup-link"]);
    assert_eq!(code(&refused), 1);
    assert!(
        stderr(&refused).contains("sign-in link"),
        "{}",
        stderr(&refused)
    );

    // Locked out.
    let token = link(&database, &["sign-in-link", "--email", "ME@example.org"]);
    let body = json!({"token": token});
    let session = session_of(&ask(api, ("POST", "/v1/links/redeem"), None, &body));
    let me = ask(api, ("GET", "/v1/session"), Some(&session), &json!({}));
    assert!(me.2.contains("me@example.org"), "{}", me.2);
    let arguments = ["admin", "sign-in-link", "--email", "nobody@example.org"];
    let nobody = run_on(&database, &arguments);
    assert_eq!(code(&nobody), 1);
    assert!(
        stderr(&nobody).contains("no such user"),
        "{}",
        stderr(&nobody)
    );
    server.terminate();

    let mut server = Running::start(on(&database, &ANY_PORT));
    server.addresses();
    let log = stderr(&server.terminate());
    assert!(!log.contains("/join/"), "{log}");
}

#[tokio::test]
async fn a_link_of_the_command_line_leads_where_it_is_said() {
    let database = migrated().await;
    let arguments = [
        "admin",
        "setup-link",
        "--public-url",
        "https://ab.example.org",
        "--output",
        "json",
    ];
    let made = run_on(&database, &arguments);
    let made: Json = serde_json::from_str(&stdout(&made)).unwrap();
    assert_eq!(made["kind"], "setup");
    let url = made["url"].as_str().unwrap();
    assert!(url.starts_with("https://ab.example.org/join/ln_"), "{url}");
}

/// A mail server for one mail; what it was told, line by line.
fn mail_server() -> (u16, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut said = String::new();
        let mut is_data = false;
        stream.write_all(b"220 test\r\n").unwrap();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                return said;
            }
            said.push_str(&line);
            let answer = match line.trim_end() {
                "DATA" => {
                    is_data = true;
                    "354 go on\r\n"
                }
                "." => {
                    is_data = false;
                    "250 taken\r\n"
                }
                "QUIT" => return said,
                _ if is_data => continue,
                _ => "250 fine\r\n",
            };
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (port, served)
}

#[tokio::test]
async fn an_invitation_is_mailed() {
    let database = migrated().await;
    let (port, mails) = mail_server();
    let mut command = on(&database, &ANY_PORT);
    command
        .env("SAMPLIT_SMTP_URL", format!("smtp://127.0.0.1:{port}"))
        .env("SAMPLIT_MAIL_FROM", "Samplit <samplit@example.org>")
        .env("SAMPLIT_PUBLIC_URL", "https://ab.example.org");
    let mut server = Running::start(command);
    let (api, _) = server.addresses();
    let token = link(&database, &["setup-link"]);
    let session = set_up(api, &token, "me@example.org");
    let invite = json!({"email": "ana@example.org"});
    let invited = ask(api, ("POST", "/v1/users"), Some(&session), &invite);
    assert_eq!(invited.0, 201, "{}", invited.2);
    assert!(invited.2.contains("\"mailed\":true"), "{}", invited.2);
    assert!(!invited.2.contains("ln_"), "{}", invited.2);
    // The line of the connection stays open until the server ends.
    server.terminate();
    let mail = mails.join().unwrap();
    for expected in [
        "MAIL FROM:<samplit@example.org>",
        "RCPT TO:<ana@example.org>",
        "Subject: You are invited to Samplit",
        "https://ab.example.org/join/ln_",
    ] {
        assert!(mail.contains(expected), "{expected}: {mail}");
    }
}

#[test]
fn config_check_finds_what_is_wrong_with_mail() {
    let from = ("SAMPLIT_MAIL_FROM", "a@example.org");
    let url = ("SAMPLIT_SMTP_URL", "smtps://me:hunter2@mail.example.org");
    let public = ("SAMPLIT_PUBLIC_URL", "https://ab.example.org");
    for (settings, told) in [
        (vec![from], "without --smtp-url"),
        (vec![url, public], "set --mail-from"),
        (vec![url, from], "set --public-url"),
        (
            vec![url, ("SAMPLIT_MAIL_FROM", "nobody"), public],
            "is no address",
        ),
        (
            vec![
                ("SAMPLIT_SMTP_URL", "smtp://me:hunter2@mail.example.org"),
                from,
                public,
            ],
            "without TLS",
        ),
        (vec![url, from, public], ""),
    ] {
        let mut check = command(&["config", "check"]);
        check
            .env("SAMPLIT_DATABASE_URL", "postgresql://h/d")
            .env("SAMPLIT_KEYS", crate::support::KEYS)
            .envs(settings.iter().copied());
        let checked = check.output().unwrap();
        let text = stdout(&checked);
        assert_eq!(
            code(&checked),
            i32::from(!told.is_empty()),
            "{settings:?} {text}"
        );
        assert!(text.contains(told), "{told} in {text}");
        assert!(!text.contains("hunter2") && !stderr(&checked).contains("hunter2"));
    }
}
