//! A form with a file, `multipart/form-data`: what it holds, within bounds.

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::BodyExt as _;
use hyper::{
    StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
};

use crate::{call::Call, dashboard::form::Form, problem::Problem};

/// The most bytes of such a form, file included.
pub(super) const LIMIT: usize = 10 * 1024 * 1024;

/// The most bytes that are read to be able to say that it is too large.
const PATIENCE: usize = 5 * LIMIT;

/// The most parts of such a form.
const MAX_PARTS: usize = 32;

/// What was sent.
pub(super) struct Upload {
    pub(super) form: Form,
    /// The file; empty where none was chosen.
    pub(super) file: Bytes,
}

impl Upload {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// 400 for what is no such form, 408, 413, 415.
    pub(super) async fn read(call: &mut Call) -> Result<Self, Problem> {
        let boundary = boundary(call.head.headers.get(CONTENT_TYPE))?;
        let body = tokio::time::timeout(call.app.config.request_timeout, collect(&mut call.body));
        let body = body.await.map_err(|_elapsed| Problem::body_timeout())??;
        parts(body, boundary).await
    }
}

/// The whole body. What is too large is read on for a while and thrown away: a browser shows no answer
/// before it has sent everything.
async fn collect(body: &mut Incoming) -> Result<Bytes, Problem> {
    let mut kept = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| Problem::incomplete_body())?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length += data.len();
        if length > PATIENCE {
            return Err(Problem::body_too_large(LIMIT));
        }
        if length <= LIMIT {
            kept.extend_from_slice(&data);
        } else {
            kept = BytesMut::new();
        }
    }
    if length > LIMIT {
        return Err(Problem::body_too_large(LIMIT));
    }
    Ok(kept.freeze())
}

fn boundary(content_type: Option<&HeaderValue>) -> Result<String, Problem> {
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let boundary = content_type.and_then(|value| multer::parse_boundary(value).ok());
    boundary.ok_or_else(|| {
        let detail = "send a form with a file, as `multipart/form-data`";
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            detail,
        )
    })
}

async fn parts(body: Bytes, boundary: String) -> Result<Upload, Problem> {
    let malformed = |_error: multer::Error| {
        let detail = "the form cannot be taken apart";
        Problem::new(StatusCode::BAD_REQUEST, "malformed_form", detail)
    };
    let whole = stream::once(async { Ok::<_, std::convert::Infallible>(body) });
    let mut parts = multer::Multipart::new(whole, boundary);
    let mut fields = Vec::new();
    let mut file = Bytes::new();
    let mut count = 0;
    while let Some(part) = parts.next_field().await.map_err(malformed)? {
        count += 1;
        if count > MAX_PARTS {
            let detail = format!("the form has more than {MAX_PARTS} fields");
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "malformed_form",
                detail,
            ));
        }
        let name = part.name().unwrap_or_default().to_owned();
        if part.file_name().is_some() {
            file = part.bytes().await.map_err(malformed)?;
        } else {
            fields.push((name, part.text().await.map_err(malformed)?));
        }
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    let form = Form::parse(query.extend_pairs(fields).finish().as_bytes())?;
    Ok(Upload { form, file })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::header::HeaderValue;

    use super::{boundary, parts};

    #[tokio::test]
    async fn fields_and_the_file_are_told_apart() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"/floor:percent\"\r\n\r\n2\r\n\
            --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\
            Content-Type: text/csv\r\n\r\na,b\r\n1,2\r\n\r\n--x--\r\n";
        let upload = parts(Bytes::from(body), "x".to_owned()).await.unwrap();
        assert_eq!(&upload.file[..], b"a,b\r\n1,2\r\n");
        assert_eq!(upload.form.content()["floor"], 0.02);
    }

    #[tokio::test]
    async fn what_is_cut_off_or_has_no_end_is_refused() {
        for body in [
            "",
            "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n2",
            "nonsense",
        ] {
            let refused = parts(Bytes::from(body), "x".to_owned()).await;
            assert_eq!(
                refused.err().map(|problem| problem.code),
                Some("malformed_form"),
                "{body}"
            );
        }
        let many = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n2\r\n".repeat(33);
        let refused = parts(Bytes::from(format!("{many}--x--\r\n")), "x".to_owned()).await;
        assert!(refused.is_err());
    }

    #[test]
    fn only_forms_with_files_are_taken() {
        let of = |text: &'static str| boundary(Some(&HeaderValue::from_static(text)));
        assert_eq!(
            of("multipart/form-data; boundary=x").ok().as_deref(),
            Some("x")
        );
        for text in [
            "multipart/form-data",
            "text/csv",
            "application/x-www-form-urlencoded",
        ] {
            assert_eq!(
                of(text).err().map(|problem| problem.status.as_u16()),
                Some(415),
                "{text}"
            );
        }
        assert!(boundary(None).is_err());
    }
}
