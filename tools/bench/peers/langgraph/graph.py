"""An agent on LangGraph: one model, a tool that does nothing, and one that waits for a person."""

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt


@tool
async def note(text: str) -> str:
    """Note a text."""
    return "Noted."


@tool
async def note_if_allowed(text: str) -> str:
    """Note a text, once a person has allowed it."""
    return "Noted." if interrupt({"text": text}) else "Not allowed."


TOOLS = [note, note_if_allowed]
# The address and the key of the model come from the environment.
MODEL = ChatOpenAI(model="scripted").bind_tools(TOOLS)


async def model(state: MessagesState) -> dict:
    return {"messages": [await MODEL.ainvoke(state["messages"])]}


graph = (
    StateGraph(MessagesState)
    .add_node("model", model)
    .add_node("tools", ToolNode(TOOLS))
    .add_edge(START, "model")
    .add_conditional_edges("model", tools_condition)
    .add_edge("tools", "model")
    .compile()
)
