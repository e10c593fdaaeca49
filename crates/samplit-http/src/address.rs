//! Where a request really comes from, behind proxies.

use std::net::{IpAddr, SocketAddr};

use hyper::{HeaderMap, header::HeaderName};
use samplit_domain::Cidr;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client: the peer's, or where that is a proxy to be trusted, the one that it says
/// it speaks for, and so on. What stands further to the left in `X-Forwarded-For` anybody can write, and
/// in any bytes: it neither counts nor hides what a proxy wrote behind it. Where a proxy itself wrote
/// what is no address, it is the last that is known.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let mut client = peer.to_canonical();
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        let is_proxy = trusted.iter().any(|range| range.contains(client));
        let Some(before) = read(hop).filter(|_| is_proxy) else {
            break;
        };
        client = before;
    }
    client
}

fn read(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok();
    let address = address.or_else(|| hop.parse::<SocketAddr>().ok().map(|hop| hop.ip()));
    address.map(|address| address.to_canonical())
}

/// Whether an address is anybody's on the internet: neither of this machine, nor of its networks, nor
/// of those that every network has. What a stranger wants fetched may come from nowhere else.
#[must_use]
pub fn is_public_address(address: IpAddr) -> bool {
    /// The registries of IANA (RFC 6890 and its updates).
    const SPECIAL: [&str; 28] = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/9",
        "ff00::/8",
    ];
    let within = |range: &&str| {
        range
            .parse()
            .is_ok_and(|range: Cidr| range.contains(address))
    };
    !SPECIAL.iter().any(within)
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, header::HeaderValue};

    use super::{X_FORWARDED_FOR, client_address, is_public_address};

    #[test]
    fn only_what_trusted_proxies_say_is_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (peer, lines, expected) in [
            ("198.51.100.9", vec![], "198.51.100.9"),
            // Anybody can write the header.
            ("198.51.100.9", vec!["203.0.113.1"], "198.51.100.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.1"], "203.0.113.1"),
            ("::ffff:10.0.0.1", vec!["203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", vec!["192.0.2.7, 203.0.113.1"], "203.0.113.1"),
            (
                "10.0.0.1",
                vec!["192.0.2.7, 203.0.113.1, 10.0.0.2"],
                "203.0.113.1",
            ),
            (
                "10.0.0.1",
                vec!["192.0.2.7", "203.0.113.1,10.0.0.2"],
                "203.0.113.1",
            ),
            ("10.0.0.1", vec!["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", vec!["203.0.113.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.1, "], "10.0.0.1"),
            // What the client itself sent does not hide it.
            ("10.0.0.1", vec!["\u{f1}, 203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", vec!["\u{ff11}, 203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", vec!["\u{f1}", "203.0.113.1"], "203.0.113.1"),
            (
                "10.0.0.1",
                vec![",,\t, 203.0.113.1 ,10.0.0.2"],
                "203.0.113.1",
            ),
            ("10.0.0.1", vec!["192.0.2.7, \u{f1}"], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.1:4711"], "203.0.113.1"),
            ("fd00::1", vec!["[2001:db8::1]:4711"], "2001:db8::1"),
            ("fd00::1", vec!["[2001:db8::1]"], "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(
                    X_FORWARDED_FOR,
                    HeaderValue::from_bytes(line.as_bytes()).unwrap(),
                );
            }
            let found = client_address(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found.to_string(), expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn addresses_of_ones_own_are_not_public() {
        for own in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "::10.0.0.1",
            "::ffff:0:10.0.0.1",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public_address(own.parse().unwrap()), "{own}");
        }
        for public in ["1.1.1.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public_address(public.parse().unwrap()), "{public}");
        }
    }
}
