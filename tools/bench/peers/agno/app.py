"""An agent on agno's AgentOS, with its storage in SQLite: one model, a tool that does nothing, and
one that waits for a person."""

import os
import sys

from agno.agent import Agent
from agno.db.sqlite import SqliteDb
from agno.models.openai import OpenAILike
from agno.os import AgentOS
from agno.tools import tool


@tool
def note(text: str) -> str:
    """Note a text."""
    return "Noted."


@tool(requires_confirmation=True)
def note_if_allowed(text: str) -> str:
    """Note a text, once a person has allowed it."""
    return "Noted."


db = SqliteDb(db_file="agno.db")
agent = Agent(
    id="agent",
    model=OpenAILike(
        id="scripted",
        base_url=os.environ["OPENAI_BASE_URL"],
        api_key=os.environ["OPENAI_API_KEY"],
    ),
    db=db,
    tools=[note, note_if_allowed],
    add_history_to_context=True,
    telemetry=False,
)
agent_os = AgentOS(id="bench", agents=[agent], db=db, telemetry=False)
app = agent_os.get_app()

if __name__ == "__main__":
    agent_os.serve(app, host="127.0.0.1", port=int(sys.argv[1]))
