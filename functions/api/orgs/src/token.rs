//! Tokens of invitations: signed for one invitation of one org, and nothing else.
//!
//! A token is not stored. It holds nothing, because all that matters is read from the invitation
//! when it is accepted: taking that back, or its expiry, ends the token too.

use kernel::signing::SigningKey;
use kernel::{InvitationId, OrgId};

/// The longest text that is looked at as a token.
pub(crate) const MAX_CHARS: usize = 200;

/// The token that accepts an invitation.
pub(crate) fn seal(key: &SigningKey, org: OrgId, invitation: InvitationId) -> String {
    key.seal(&purpose(org, invitation), b"")
}

/// Whether a text is the token of this invitation.
pub(crate) fn is_genuine(
    key: &SigningKey,
    org: OrgId,
    invitation: InvitationId,
    token: &str,
) -> bool {
    key.open(&purpose(org, invitation), token)
        .is_ok_and(|payload| payload.is_empty())
}

fn purpose(org: OrgId, invitation: InvitationId) -> String {
    format!("invitation:{org}:{invitation}")
}

#[cfg(test)]
mod tests {
    use kernel::cursor::Cursor;

    use super::*;

    /// 32 bytes in base64.
    const SECRET: &str = "c2lnbmVkIGZvciB0ZXN0cyBhbmQgbm90aGluZyBlbHNlIQ==";

    #[test]
    fn a_token_opens_its_own_invitation_only() {
        let key = SigningKey::from_base64(SECRET).unwrap();
        let (org, other_org) = (OrgId::from_u128(1), OrgId::from_u128(2));
        let (invitation, other) = (InvitationId::from_u128(1), InvitationId::from_u128(2));
        let token = seal(&key, org, invitation);
        assert!(token.len() <= MAX_CHARS);
        assert!(is_genuine(&key, org, invitation, &token));
        assert!(!is_genuine(&key, org, other, &token));
        assert!(!is_genuine(&key, other_org, invitation, &token));
    }

    #[test]
    fn nothing_else_that_the_key_signed_is_a_token() {
        let key = SigningKey::from_base64(SECRET).unwrap();
        let (org, invitation) = (OrgId::from_u128(1), InvitationId::from_u128(1));
        let cursor = Cursor::after("").seal(&key, &purpose(org, invitation));
        let padded = key.seal(&purpose(org, invitation), b"more");
        for text in ["", "AAAA", &cursor, &padded] {
            assert!(!is_genuine(&key, org, invitation, text), "{text:?}");
        }
    }
}
