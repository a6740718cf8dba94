"""What can be wrong with a database, in words an operator can act on."""

from federation.errors import BrokenHome, Conflict, InvalidInput, NotAllowed, Unavailable


class DatabaseBroken(BrokenHome):
    code = "LLN-1501"
    zh = "数据库文件损坏或不是本程序的数据库。请从备份恢复(保留原文件以便分析)。"
    en = "The database file is damaged, or not one of this program. Restore a backup, and keep the file for analysis."


class DatabaseClosed(BrokenHome):
    code = "LLN-1502"
    zh = "数据库无法打开或无法写入。请检查文件权限、磁盘是否只读以及磁盘是否出错。"
    en = "The database cannot be opened or written. Check permissions, and whether the disk is read-only or failing."


class SchemaTooNew(BrokenHome):
    code = "LLN-1503"
    zh = "数据库由更新版本的程序写成。请升级程序，不要回退。"
    en = "The database was written by a newer version of the program. Upgrade the program."


class SchemaTooOld(BrokenHome):
    code = "LLN-1504"
    zh = "数据库由较旧版本的程序写成，只读打开时不会升级。请先启动一次节点(lln serve)。"
    en = "The database was written by an older version, and reading alone upgrades nothing. Start the node once first."


class EngineTooOld(BrokenHome):
    code = "LLN-1505"
    zh = "数据库引擎版本过旧。请升级：SQLite 3.37、PostgreSQL 13 或更新的版本。"
    en = "The database engine is too old. Upgrade it: SQLite 3.37, PostgreSQL 13, or newer."


class DriverMissing(BrokenHome):
    code = "LLN-1506"
    zh = "没有安装 PostgreSQL 驱动。请运行 pip install 'lln-node[hub]'。"
    en = "The driver for PostgreSQL is not installed. Run pip install 'lln-node[hub]'."


class DatabaseMissing(BrokenHome):
    code = "LLN-1575"
    zh = (
        "数据库不见了。空数据库会让日志从头开始、与已经发出的互相矛盾，所以节点未启动。请用 lln restore 恢复备份；"
        "没有备份时，请上级运行 lln invite --replace，本机移走 trust 目录后运行 lln join，从上级取回日志。"
    )
    en = (
        "The database is gone. An empty one would begin the logs anew and contradict what was said, so the node did not"
        " start. Run lln restore; without a backup have the parent run lln invite --replace, move trust/ away, and run"
        " lln join, which fetches the logs from there."
    )


class HomeInUse(Unavailable):
    code = "LLN-1601"
    zh = "另一个进程正在使用这个节点的数据库。请先停止它。"
    en = "Another process is using this node's database. Stop it first."


class DiskFull(Unavailable):
    code = "LLN-1602"
    zh = "磁盘已满，这一次没有写入任何内容。请腾出空间，程序会自动继续。"
    en = "The disk is full; nothing of this was written. Make room, and the program goes on by itself."


class StoreClosed(Unavailable):
    code = "LLN-1603"
    zh = "节点正在停止，没有写入。"
    en = "The node is stopping; nothing was written."


class StoreBusy(Unavailable):
    code = "LLN-1611"
    zh = "等待数据库的请求过多，这一次没有执行。请稍后再试。"
    en = "Too much is waiting for the database; this was not done. Try again later."


class DatabaseUnreachable(Unavailable):
    code = "LLN-1612"
    zh = "连不上数据库服务器，或连接中断。请检查它是否在运行；程序会自动重连。"
    en = "The database server is out of reach, or the connection broke. Is it running? The program reconnects itself."


class AnswerKeptAlready(Conflict):
    code = "LLN-1301"
    zh = "这个操作编号已有答复。"
    en = "An answer to this operation id is kept already."


class LogMovedOn(Conflict):
    code = "LLN-1303"
    zh = "日志在此期间已经增长，这一页不再衔接。程序会从新的位置重试。"
    en = "The log has grown in the meantime and this page no longer follows on it. It is tried again from the new size."


class RowsClash(Conflict):
    code = "LLN-1304"
    zh = "要写入的内容与数据库中已有的记录冲突，没有写入。请把这一行告诉维护者。"
    en = "What was to be written clashes with what is stored; nothing was. Please show this line to the maintainers."


class BackupExists(Conflict):
    code = "LLN-1305"
    zh = "备份文件已存在，不会覆盖。请换一个文件名。"
    en = "The backup file exists already and is not overwritten. Choose another name."


class NotOwnLog(NotAllowed):
    code = "LLN-1401"
    zh = "只能向本节点自己的日志追加条目。"
    en = "Only this node's own logs can be appended to."


class OpenedForReading(NotAllowed):
    code = "LLN-1402"
    zh = "数据库以只读方式打开，不能写入。"
    en = "The database is opened for reading; nothing can be written."


class ItemReused(Conflict):
    code = "LLN-1371"
    zh = "待发箱里已有同一编号、但内容不同的消息，这一条没有放入。"
    en = "Another message waits in the outbox under the same id with other content; this one was not added."


class UnfitItem(InvalidInput):
    code = "LLN-1167"
    zh = "消息过大，或者编号、种类不合要求，没有放入待发箱。"
    en = "The message is too large, or its id or kind is not acceptable; it was not added to the outbox."
