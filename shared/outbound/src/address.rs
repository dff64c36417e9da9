//! Which IP addresses are on the public internet.
//!
//! Source: the IANA special-purpose address registries for IPv4 and IPv6, and the addresses that
//! clouds give to their metadata services. For IPv4 the table lists what is refused. For IPv6 it is
//! the other way round: only global unicast (`2000::/3`) is public, minus what the table lists, so
//! that a range assigned tomorrow is refused until someone reads about it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address this is, as far as reaching it from a server matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressClass {
    /// Routed on the public internet.
    Public,
    /// The machine itself.
    Loopback,
    /// Private networks, carrier-grade NAT and unique local addresses.
    Private,
    /// One network segment; cloud metadata services live here.
    LinkLocal,
    /// A group of receivers, or broadcast.
    Multicast,
    /// An IPv6 address that carries an IPv4 address to a gateway: mapped, compatible, 6to4, Teredo,
    /// NAT64, ISATAP.
    Translated,
    /// Documentation, benchmarking, unspecified, unassigned, or owned by one cloud's machinery.
    Reserved,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Multicast => "multicast",
            Self::Translated => "an IPv4 address in IPv6 form",
            Self::Reserved => "reserved",
        })
    }
}

use AddressClass::{LinkLocal, Loopback, Multicast, Private, Public, Reserved, Translated};

type V4Range = (Ipv4Addr, u32, AddressClass);
type V6Range = (Ipv6Addr, u32, AddressClass);

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u32, class: AddressClass) -> V4Range {
    (Ipv4Addr::new(a, b, c, d), prefix, class)
}

/// An IPv6 range by its first four groups; no range below needs more, except those written out.
const fn v6(a: u16, b: u16, c: u16, d: u16, prefix: u32, class: AddressClass) -> V6Range {
    (Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix, class)
}

/// IPv4 ranges that are not public.
pub(crate) const V4_RANGES: &[V4Range] = &[
    v4(0, 0, 0, 0, 8, Reserved),
    v4(10, 0, 0, 0, 8, Private),
    v4(100, 64, 0, 0, 10, Private),
    v4(127, 0, 0, 0, 8, Loopback),
    // Azure's wire server answers on a public-looking address.
    v4(168, 63, 129, 16, 32, Reserved),
    v4(169, 254, 0, 0, 16, LinkLocal),
    v4(172, 16, 0, 0, 12, Private),
    v4(192, 0, 0, 0, 24, Reserved),
    v4(192, 0, 2, 0, 24, Reserved),
    v4(192, 88, 99, 0, 24, Translated),
    v4(192, 168, 0, 0, 16, Private),
    v4(198, 18, 0, 0, 15, Reserved),
    v4(198, 51, 100, 0, 24, Reserved),
    v4(203, 0, 113, 0, 24, Reserved),
    v4(224, 0, 0, 0, 4, Multicast),
    v4(240, 0, 0, 0, 4, Reserved),
];

/// IPv6 ranges that are not public, most specific first. Whatever is outside `2000::/3` and not
/// listed is reserved.
pub(crate) const V6_RANGES: &[V6Range] = &[
    (Ipv6Addr::UNSPECIFIED, 128, Reserved),
    (Ipv6Addr::LOCALHOST, 128, Loopback),
    // ::a.b.c.d, ::ffff:a.b.c.d, ::ffff:0:a.b.c.d
    v6(0, 0, 0, 0, 64, Translated),
    // NAT64: the well-known prefix and the local-use one.
    v6(0x64, 0xff9b, 0, 0, 32, Translated),
    v6(0x100, 0, 0, 0, 64, Reserved),
    // Teredo, ahead of the IETF block that holds it.
    v6(0x2001, 0, 0, 0, 32, Translated),
    v6(0x2001, 0, 0, 0, 23, Reserved),
    v6(0x2001, 0xdb8, 0, 0, 32, Reserved),
    v6(0x2002, 0, 0, 0, 16, Translated),
    v6(0x3ffe, 0, 0, 0, 16, Reserved),
    v6(0x3fff, 0, 0, 0, 20, Reserved),
    v6(0x5f00, 0, 0, 0, 16, Reserved),
    v6(0xfc00, 0, 0, 0, 7, Private),
    v6(0xfe80, 0, 0, 0, 10, LinkLocal),
    v6(0xfec0, 0, 0, 0, 10, Private),
    v6(0xff00, 0, 0, 0, 8, Multicast),
];

/// Classifies an address. Only [`AddressClass::Public`] may be called under a public policy.
#[must_use]
pub fn address_class(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => v4_class(address),
        IpAddr::V6(address) => v6_class(address),
    }
}

/// Whether an address is on the public internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    address_class(address) == Public
}

fn v4_class(address: Ipv4Addr) -> AddressClass {
    let bits = address.to_bits();
    V4_RANGES
        .iter()
        .find(|(base, prefix, _)| (bits ^ base.to_bits()) >> (32 - prefix) == 0)
        .map_or(Public, |(_, _, class)| *class)
}

fn v6_class(address: Ipv6Addr) -> AddressClass {
    let bits = address.to_bits();
    let listed = V6_RANGES
        .iter()
        .find(|(base, prefix, _)| (bits ^ base.to_bits()) >> (128 - prefix) == 0);
    if let Some((_, _, class)) = listed {
        return *class;
    }
    if bits >> 125 != 0b001 {
        return Reserved;
    }
    // An ISATAP interface identifier tunnels to the IPv4 address in its last four bytes, under any
    // prefix; bit 0x0200 only says whether that address claims to be unique.
    let [.., high, marker, _, _] = address.segments();
    if marker == 0x5efe && high & !0x0200 == 0 {
        return Translated;
    }
    Public
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> AddressClass {
        address_class(text.parse().expect("an IP address"))
    }

    /// The ends of a range belong to it, and the neighbours do not get its class from it.
    #[test]
    fn v4_ranges_hold_exactly_their_addresses() {
        for (base, prefix, expected) in V4_RANGES {
            let first = base.to_bits();
            let last = first | u32::MAX.checked_shr(*prefix).unwrap_or(0);
            assert_eq!(
                first & u32::MAX.checked_shr(*prefix).unwrap_or(0),
                0,
                "{base}/{prefix}"
            );
            for bits in [first, first + (last - first) / 2, last] {
                let address = Ipv4Addr::from_bits(bits);
                assert_eq!(v4_class(address), *expected, "{address} in {base}/{prefix}");
            }
            for bits in [first.checked_sub(1), last.checked_add(1)]
                .into_iter()
                .flatten()
            {
                let address = Ipv4Addr::from_bits(bits);
                let in_another = V4_RANGES.iter().any(|(other, other_prefix, _)| {
                    other != base && (bits ^ other.to_bits()) >> (32 - other_prefix) == 0
                });
                assert_eq!(
                    v4_class(address) == Public,
                    !in_another,
                    "{address} beside {base}/{prefix}"
                );
            }
        }
    }

    #[test]
    fn v6_ranges_hold_their_ends() {
        for (base, prefix, _) in V6_RANGES {
            let first = base.to_bits();
            let tail = u128::MAX.checked_shr(*prefix).unwrap_or(0);
            assert_eq!(first & tail, 0, "{base}/{prefix}");
            for bits in [first, first | tail] {
                let address = Ipv6Addr::from_bits(bits);
                assert_ne!(v6_class(address), Public, "{address} in {base}/{prefix}");
            }
        }
    }

    #[test]
    fn names_the_class_of_well_known_addresses() {
        for (text, expected) in [
            ("169.254.169.254", LinkLocal),
            ("fd00:ec2::254", Private),
            ("100.100.100.200", Private),
            ("168.63.129.16", Reserved),
            ("192.0.0.192", Reserved),
            ("255.255.255.255", Reserved),
            ("239.255.255.250", Multicast),
            ("::", Reserved),
            ("::1", Loopback),
            ("::ffff:8.8.8.8", Translated),
            ("::8.8.8.8", Translated),
            ("::ffff:0:127.0.0.1", Translated),
            ("64:ff9b::808:808", Translated),
            ("64:ff9b:1::a00:1", Translated),
            ("2002:7f00:1::", Translated),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Translated),
            ("2606:4700::5efe:a00:1", Translated),
            ("2606:4700::200:5efe:a00:1", Translated),
            ("2001:2::1", Reserved),
            ("2001:db8::1", Reserved),
            ("3fff:0fff::1", Reserved),
            ("fe80::1", LinkLocal),
            ("ff02::1", Multicast),
            ("4000::1", Reserved),
            ("e000::1", Reserved),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }

    #[test]
    fn public_addresses_stay_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2606:4700:4700::1111",
            "2a00:1450:4001:81b::200e",
            "3ffd::1",
        ] {
            assert_eq!(class(text), Public, "{text}");
        }
    }

    /// The standard library's stable predicates are an independent, if incomplete, oracle.
    #[test]
    fn agrees_with_the_standard_library_on_every_v4_block() {
        for high in 0..=u16::MAX {
            for low in [0_u16, 1, 0x0200, 0x7fff, 0xfffe, 0xffff] {
                let address = Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
                let special = address.is_private()
                    || address.is_loopback()
                    || address.is_link_local()
                    || address.is_multicast()
                    || address.is_broadcast()
                    || address.is_documentation()
                    || address.is_unspecified();
                if special {
                    assert_ne!(v4_class(address), Public, "{address}");
                }
                // No IPv6 spelling of any IPv4 address is public, whatever that address is.
                let [a, b] = [high, low];
                for spelling in [
                    address.to_ipv6_mapped(),
                    address.to_ipv6_compatible(),
                    Ipv6Addr::new(0x2002, a, b, 0, 0, 0, 0, 1),
                    Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a, b),
                    Ipv6Addr::new(0x2001, 0, 0x4136, 0xe378, 0, 0, !a, !b),
                    Ipv6Addr::new(0x2606, 0x4700, 0, 0, 0, 0x5efe, a, b),
                ] {
                    assert_ne!(v6_class(spelling), Public, "{spelling}");
                }
            }
        }
    }
}
