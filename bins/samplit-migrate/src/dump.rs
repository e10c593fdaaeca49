//! Backup and restore: a thin cover over `pg_dump` and `pg_restore`, with a look at the version of the
//! schema before anything is loaded, and at the schema itself afterwards.

use std::ffi::OsStr;
use std::fmt;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use samplit_store::Server;
use serde::Serialize;
use tokio::process::Command;
use tokio_postgres::Client;
use tokio_postgres::config::Host;

/// The database roles that a dump names. They belong to the cluster and are not in the dump.
const ROLES: [&str; 5] = [
    "samplit_owner",
    "samplit_migrator",
    "samplit_app",
    "samplit_auditor",
    "samplit_reader",
];

const BASELINE: &str = "`samplit-migrate baseline` recognises the tables";
const UP: &str = "`samplit-migrate up` brings the schema to the version that the server needs";
const DOCTOR: &str = "`samplit-server doctor` checks that rows, counters and trails agree";

/// What was done.
#[derive(Debug, Serialize)]
pub(crate) struct Done {
    action: &'static str,
    file: PathBuf,
    bytes: u64,
    /// Version of the schema in the file.
    version: Option<i32>,
    /// Version that this program works with.
    expected: i32,
    /// What is left to do, in order.
    next: Vec<&'static str>,
}

impl Done {
    /// Whether the schema is the one that this program knows, down to every index.
    pub(crate) fn is_current(&self) -> bool {
        self.version == Some(self.expected)
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            action,
            file,
            bytes,
            version,
            expected,
            next,
        } = self;
        write!(f, "{action} {} ({bytes} bytes, ", file.display())?;
        match version {
            Some(version) => write!(f, "schema version {version} of {expected})")?,
            None => f.write_str("no schema version)")?,
        }
        for step in next {
            write!(f, "\nnext: {step}")?;
        }
        Ok(())
    }
}

/// Writes the database to `file`, which appears only when it is complete.
pub(crate) async fn backup(
    server: &Server,
    client: &Client,
    file: &Path,
    force: bool,
) -> anyhow::Result<Done> {
    ensure!(
        force || !file.exists(),
        "{} exists; --force replaces it",
        file.display()
    );
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    // It will hold everything that the database holds, so nobody else gets to read it.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    let dumped = run(
        server,
        "pg_dump",
        ["-Fc".as_ref(), "-f".as_ref(), partial.as_os_str()],
    )
    .await;
    if let Err(error) = dumped {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&partial);
        return Err(error);
    }
    std::fs::rename(&partial, file).with_context(|| format!("cannot write {}", file.display()))?;
    let version = samplit_sql::current_version(client).await?;
    done("wrote", file, version, Vec::new())
}

/// Loads `file` in one transaction. A file that a newer program made is refused before anything is
/// touched.
pub(crate) async fn restore(
    server: &Server,
    client: &Client,
    file: &Path,
    force: bool,
) -> anyhow::Result<Done> {
    ensure!(file.is_file(), "{} is not a file", file.display());
    let expected = samplit_sql::expected_version();
    let version = version_in(file).await?;
    if let Some(version) = version
        && version > expected
    {
        bail!(
            "{} holds schema version {version} and this program only knows {expected}; restore it by \
             a newer samplit-migrate",
            file.display()
        );
    }
    let row = client
        .query_one(
            "SELECT r.rolsuper, r.rolsuper OR r.rolcreaterole,
                    (SELECT count(*) FROM pg_class
                     WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p'))
             FROM pg_roles r WHERE r.rolname = current_user",
            &[],
        )
        .await
        .context("cannot look at the target")?;
    let (is_superuser, may_create_roles, tables): (bool, bool, i64) =
        (row.get(0), row.get(1), row.get(2));
    if tables > 0 && !force {
        bail!("the database holds {tables} tables; --force replaces those that the file holds too");
    }
    let has_roles = ensure_roles(client, may_create_roles).await?;

    let config = server.config();
    let database = config
        .get_dbname()
        .or(config.get_user())
        .unwrap_or("postgres");
    let mut arguments = vec!["-d", database, "--exit-on-error", "--single-transaction"];
    if tables > 0 {
        arguments.extend(["--clean", "--if-exists"]);
    }
    if !is_superuser {
        arguments.push("--no-owner");
    }
    if !has_roles {
        tracing::warn!("the database roles of Samplit do not exist; their rights are not restored");
        arguments.push("--no-privileges");
    }
    let arguments = arguments
        .into_iter()
        .map(OsStr::new)
        .chain([file.as_os_str()]);
    run(server, "pg_restore", arguments).await?;
    let next = match version {
        None => vec![BASELINE, UP, DOCTOR],
        Some(version) if version < expected => vec![UP, DOCTOR],
        Some(_) => vec![DOCTOR],
    };
    done("restored", file, version, next)
}

/// The version of the schema in a dump: the highest of the rows of refinery's history.
async fn version_in(file: &Path) -> anyhow::Result<Option<i32>> {
    let mut command = Command::new("pg_restore");
    command
        .args(["--data-only", "--table=refinery_schema_history", "-f", "-"])
        .arg(file);
    let script = output("pg_restore", &mut command).await?;
    let script = String::from_utf8_lossy(&script);
    // COPY ... (version, name, applied_on, checksum) FROM stdin; rows set apart by tabs; then `\.`.
    let rows = script
        .lines()
        .skip_while(|line| !line.starts_with("COPY "))
        .skip(1)
        .take_while(|line| *line != "\\.");
    let versions = rows.map(|row| row.split('\t').next().unwrap_or_default().parse::<i32>());
    let versions: Vec<i32> = versions
        .collect::<Result<_, _>>()
        .with_context(|| format!("the history of migrations in {} is odd", file.display()))?;
    Ok(versions.into_iter().max())
}

/// Makes the roles that are missing, if we may; tells whether all exist.
async fn ensure_roles(client: &Client, may_create: bool) -> anyhow::Result<bool> {
    for role in ROLES {
        let exists = client
            .query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&role])
            .await
            .context("cannot look for the database roles")?;
        if exists.is_some() {
            continue;
        }
        if !may_create {
            return Ok(false);
        }
        let mut statement = format!("CREATE ROLE {role} NOLOGIN");
        if role == "samplit_migrator" {
            statement.push_str("; GRANT samplit_owner TO samplit_migrator");
        }
        client
            .batch_execute(&statement)
            .await
            .context("cannot make the database roles")?;
    }
    Ok(true)
}

fn done(
    action: &'static str,
    file: &Path,
    version: Option<i32>,
    next: Vec<&'static str>,
) -> anyhow::Result<Done> {
    Ok(Done {
        action,
        file: file.to_path_buf(),
        bytes: std::fs::metadata(file)?.len(),
        version,
        expected: samplit_sql::expected_version(),
        next,
    })
}

/// Runs one of PostgreSQL's programs against the database. The connection goes by environment, for
/// every process can read another's command line.
async fn run<A: AsRef<OsStr>>(
    server: &Server,
    program: &'static str,
    arguments: impl IntoIterator<Item = A>,
) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg("--no-password")
        .envs(environment(server));
    output(program, &mut command).await.map(drop)
}

/// What a program prints, or why it failed.
async fn output(program: &'static str, command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = match output {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{program} is not installed; it comes with PostgreSQL's client programs")
        }
        output => output.with_context(|| format!("cannot run {program}"))?,
    };
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{program} failed: {}",
        printed.trim_end()
    );
    Ok(output.stdout)
}

/// The variables by which libpq takes a connection.
fn environment(server: &Server) -> Vec<(&'static str, String)> {
    let config = server.config();
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    });
    let ports = config.get_ports().iter().map(ToString::to_string);
    let mut variables = vec![
        ("PGHOST", hosts.collect::<Vec<_>>().join(",")),
        ("PGPORT", ports.collect::<Vec<_>>().join(",")),
        ("PGSSLMODE", server.ssl_mode().to_owned()),
        ("PGAPPNAME", "samplit-migrate".to_owned()),
    ];
    for (name, value) in [
        ("PGUSER", config.get_user()),
        ("PGDATABASE", config.get_dbname()),
    ] {
        variables.extend(value.map(|value| (name, value.to_owned())));
    }
    let roots = server.ssl_root_certificate();
    variables.extend(roots.map(|path| ("PGSSLROOTCERT", path.display().to_string())));
    let password = config.get_password().map(String::from_utf8_lossy);
    variables.extend(password.map(|password| ("PGPASSWORD", password.into_owned())));
    variables
}
