"""What can be wrong with a database, in words an operator can act on."""

from federation.errors import BrokenHome, Conflict, Unavailable


class DatabaseBroken(BrokenHome):
    code = "LLN-1501"
    zh = "数据库文件损坏或不是本程序的数据库。请从备份恢复(保留原文件以便分析)。"
    en = "The database file is damaged, or not one of this program. Restore a backup, and keep the file for analysis."


class DatabaseClosed(BrokenHome):
    code = "LLN-1502"
    zh = "数据库无法打开或无法写入。请检查文件权限以及磁盘是否只读。"
    en = "The database cannot be opened or written. Check the file's permissions and whether the disk is read-only."


class SchemaTooNew(BrokenHome):
    code = "LLN-1503"
    zh = "数据库由更新版本的程序写成。请升级程序，不要回退。"
    en = "The database was written by a newer version of the program. Upgrade the program."


class HomeInUse(Unavailable):
    code = "LLN-1601"
    zh = "另一个进程正在使用这个节点目录。请先停止它。"
    en = "Another process is using this home directory. Stop it first."


class DiskFull(Unavailable):
    code = "LLN-1602"
    zh = "磁盘已满，这一次没有写入任何内容。请腾出空间，程序会自动继续。"
    en = "The disk is full; nothing of this was written. Make room, and the program goes on by itself."


class StoreClosed(Unavailable):
    code = "LLN-1603"
    zh = "节点正在停止，没有写入。"
    en = "The node is stopping; nothing was written."


class AnswerKeptAlready(Conflict):
    code = "LLN-1301"
    zh = "这个操作编号已有答复。"
    en = "An answer to this operation id is kept already."
