"""The credit bank 学分银行 of one node: which operation of the desk, and which item of other nodes, is done by whom.

What must not live here: a decision, or how the use cases are put together (`bank_parts.py`).
"""

from collections.abc import Mapping

from node.bank_parts import BankParts, Loop
from node.ports import Receives, Settles
from node.reception import Doing


class Bank(BankParts):
    """Wired but still, like the node it is a part of."""

    def doing(self) -> Mapping[str, Doing]:
        """The operations of the desk (`node/desk`) that the credit bank does, by name."""
        return {
            "learner.register": self._register,
            "learner.change": self._change,
            "learner.import": self.registering.import_learners,
            "learner.show": lambda asked: self.showing.show(asked.learner),
            "learner.list": self.showing.list_learners,
            "learner.handle": self.showing.handle,
            "learner.export": self.exporting.export,
            "learner.erase": self.erasing.erase,
            "learner.welcome": self.welcoming.welcome,
            "learner.move": self.relocating.move,
            "completion.tell": self.declaring.tell,
            "completion.list": self.declaring.list_completions,
            "completion.show": self.declaring.show,
            "completion.settle": self.declaring.settle,
            "completion.pass_on": self.declaring.pass_on,
            "consent.give": self.consenting.give,
            "consent.list": self.showing.list_consents,
            "consent.withdraw": self.consenting.withdraw,
            "achievement.define": self.defining.define,
            "achievement.list": self.defining.list_achievements,
            "achievement.recognise": self.defining.recognise,
            "credit.issue": self.crediting.issue,
            "credit.show": self.crediting.show,
            "credit.list": self.crediting.list_records,
            "credit.balance": self.crediting.balance,
            "credit.step": self.amending.step,
            "credit.correct": self.amending.correct,
            "credit.expire": self.amending.expire,
            "credit.export": self.rendering.export,
            "credit.prove": self._prove,
            "credit.verify": self.verifying.verify,
            "rule.publish": self.ruling.publish,
            "rule.adopt": self.ruling.adopt,
            "rule.list": self.ruling.list_rules,
            "rule.show": self.ruling.show,
            "rule.find": self.ruling.find,
            "convert.preview": self.requesting.preview,
            "convert.apply": lambda asked: self.requesting.apply(asked.id),
            "convert.status": lambda asked: self.requesting.status(asked.id),
            "convert.list": self.requesting.list_requests,
            "convert.act": self.requesting.act,
            "case.list": self.reviewing.list_cases,
            "case.show": self.reviewing.show,
            "case.review": self.reviewing.review,
            "case.pass_on": self.reviewing.pass_on,
            "ledger.audit": self.auditing.audit,
            "ledger.reconcile": self.reconciling.reconcile,
            "ledger.reopen": self.regaining.reopen,
            "ledger.counts": self.reporting.counts,
        }

    def receives(self) -> Mapping[str, Receives]:
        """What is done with items that other credit banks, or this one, have posted, by kind."""
        return {
            "credit.apply": self.converting.receive,
            "credit.act": self.reviewing.act,
            "credit.finish": self.converting.finish,
            "credit.reserve": self.lending.reserve,
            "credit.commit": self.lending.commit,
            "credit.void": self.lending.void,
            "credit.return": self.lending.take_back,
            "credit.record": self.requesting.take_in,
            "credit.case": self.requesting.hear,
            "credit.state": self.amending.hear_state,
            "credit.source": self.amending.hear_source,
            "credit.status": self.listing.take_copy,
            "learner.record": self.welcoming.receive_record,
            "learner.account": self.welcoming.receive_account,
            "learner.moved": self.relocating.hear_moved,
            "credit.counts": self.reporting.take_in,
        }

    def settles(self) -> Mapping[str, Settles]:
        """What follows on the outcome of items that this credit bank has posted, by kind."""
        converting = self.converting.settle
        return {
            "credit.apply": self.requesting.settle,
            "credit.reserve": converting,
            "credit.commit": converting,
            "credit.void": converting,
            "credit.return": converting,
            "learner.account": self.relocating.settle,
            "credit.finish": self.converting.unfinished,
        }

    def loops(self) -> Mapping[str, Loop]:
        """What runs for as long as the node does."""
        return {
            "ending notices": self.reviewing.run,
            "lapsing reservations": self.lending.run,
            "expiring records": self.amending.run,
            "mirroring status lists": self.listing.run,
            "reporting counts": self.reporting.run,
        }
