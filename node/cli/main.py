"""The `lln` command: every noun in a module of its own, loaded when it is asked for."""

import os
from importlib import import_module
from pathlib import Path
from typing import Final

import click

from node.cli.asking import Asking
from node.cli.words import ui_language

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "init": ("node.cli.nodes", "make a network, with this node as its root 建立网络"),
    "invite": ("node.cli.nodes", "invite a node to join below this one 邀请下级节点"),
    "invites": ("node.cli.nodes", "the invites given out, and how they stand 邀请列表"),
    "join": ("node.cli.nodes", "join a network with an invite 加入网络"),
    "serve": ("node.cli.nodes", "run the node 启动节点"),
    "status": ("node.cli.health", "one sentence on how the node is, then why 运行状态"),
    "check": ("node.cli.health", "walk through everything, and say what mends it 逐项检查"),
    "tree": ("node.cli.health", "this node and all below it 节点树"),
    "ping": ("node.cli.health", "who is in the way to a node 连通"),
    "peers": ("node.cli.health", "how it gets on with its peers 对端"),
    "suspend": ("node.cli.nodes", "suspend a child 暂停下级"),
    "resume": ("node.cli.nodes", "resume a suspended child 恢复下级"),
    "revoke": ("node.cli.nodes", "revoke a child for good 撤销下级"),
    "move": ("node.cli.moving", "take this node to another authority 迁到另一上级"),
    "moved": ("node.cli.moving", "record that a child has moved 登记下级已迁走"),
    "parent": ("node.cli.moving", "where the parent is dialled 上级地址"),
    "backup": ("node.cli.backups", "everything of the node in one file 备份"),
    "restore": ("node.cli.backups", "make a home from a backup 恢复"),
    "resource": ("node.cli.resources", "import, review, publish, withdraw, show, list 资源"),
    "person": ("node.cli.people", "accounts at the web pages: add, link, list 网页账号"),
    "learner": ("node.cli.learners", "register, import, show, move, export, erase accounts 学习账户"),
    "consent": ("node.cli.consents", "give, list, withdraw consents 授权同意"),
    "achievement": ("node.cli.credits", "define, list, recognise learning outcomes 学习成果"),
    "credit": ("node.cli.credits", "issue, show, change, export, verify credit records 学分记录"),
    "finished": ("node.cli.finished", "what learners say they have finished: list, accept, decline 我学完了"),
    "rule": ("node.cli.rules", "publish, adopt, list, show, find conversion rules 转换规则"),
    "convert": ("node.cli.conversions", "preview, apply, follow, decide conversions 学分转换"),
    "audit": ("node.cli.ledgers", "whether the ledger of credits holds together 账本审计"),
    "reconcile": ("node.cli.ledgers", "compare the conversions with those of another node 对账"),
    "counts": ("node.cli.ledgers", "how many credit records there are here and below 统计"),
    "search": ("node.cli.search", "search the network 检索"),
    "log": ("node.cli.logs", "show, verify and prove logs 存证日志"),
    "outbox": ("node.cli.outbox", "what waits for other nodes, retry, drop 待发箱"),
    "simulate": ("node.cli.simulate", "simulate a federation in which everything goes wrong 模拟整个联邦"),
}


class Nouns(click.Group):
    """Commands by name; a module is imported when its command is used."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(COMMANDS[name][0]), name)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in COMMANDS.items()])


@click.command(cls=Nouns)
@click.option("--home", type=click.Path(path_type=Path), help="The node's directory ($LLN_HOME, else ~/.lln).")
@click.option("--ui", type=click.Choice(["zh", "en"]), help="Language of what is printed.")
@click.option("--json", "as_json", is_flag=True, help="Print documents as JSON.")
@click.version_option("0.1.0", prog_name="lln")
@click.pass_context
def main(context: click.Context, home: Path | None, ui: str | None, *, as_json: bool) -> None:
    """A node of the lifelong learning network 终身学习网络节点."""
    chosen = home or Path(os.environ.get("LLN_HOME") or Path.home() / ".lln")
    context.obj = Asking(home=chosen.expanduser().absolute(), ui=ui_language(ui), as_json=as_json)


if __name__ == "__main__":
    main()
