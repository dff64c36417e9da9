//! Why a turn of a conversation was not begun, as a problem.

use store::conversations::TurnRefused;

use crate::problem::Problem;

impl From<TurnRefused> for Problem {
    fn from(refused: TurnRefused) -> Self {
        match refused {
            TurnRefused::Missing => Self::invalid_field(
                "/conversation_id",
                "is not a conversation of this organization",
            ),
            TurnRefused::OtherAgent => {
                Self::invalid_field("/conversation_id", "is a conversation with another agent")
            }
            TurnRefused::Busy(open) => Self::conflict(
                "conversation_busy",
                format!("Execution {open} is under way in the conversation."),
            ),
            TurnRefused::Full => Self::conflict("conversation_full", format!("{refused}.")),
            TurnRefused::NoSuchTurn => Self::conflict("turn_not_open", format!("{refused}.")),
            TurnRefused::TooManyBranches => {
                Self::conflict("too_many_branches", format!("{refused}."))
            }
            TurnRefused::Store(error) => error.into(),
        }
    }
}
