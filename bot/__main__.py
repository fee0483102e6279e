"""python -m bot: the service and everything an operator does with it."""

from bot.cli import app

if __name__ == "__main__":
    app(prog_name="python -m bot")
