"""People of the tests: names, and identity numbers of the area 999999, which is assigned to nobody."""

from federation.persons import check_character

NAMES = ("欧阳测试", "阿依古丽·买买提", "诸葛样本")


def identity_number(born="20100101", sequence="001"):
    digits = f"999999{born}{sequence}"
    return digits + check_character(digits)
