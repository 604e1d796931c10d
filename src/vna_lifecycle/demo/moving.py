"""The first chapters: from settings to studies at the target."""

from __future__ import annotations

from vna_lifecycle.demo.scene import Scene
from vna_lifecycle.model.counting import counted


def check(scene: Scene) -> None:
    """Settings and archives."""
    scene.audience.chapter(
        "Check",
        "Before anything moves: can the settings be used, and do the archives answer?",
        scene.command("check"),
    )
    with scene.program() as program:
        for config in program.config.archives:
            archive = program.archive(config.name)
            written = "can be read and written" if archive.stores is not None else "can be read"
            scene.audience.say(f"{config.name} answers; it {written}")


def inventory(scene: Scene) -> None:
    """What is there, what the database says of it, and how the archive behaves."""
    scene.audience.chapter(
        "Inventory",
        "Every header is read. A file that is no DICOM object that can be trusted is refused: it stays where it "
        "is, and is reported with the reason. Nothing is skipped silently. The old archive's database knows what "
        "headers do not: what was renamed, hidden or deleted since. An extract of it is read too.",
        scene.command("inventory"),
    )
    with scene.program() as program:
        if program.catalog.latest_inventory("old") is None:
            with scene.audience.watching() as tell:
                for taken in program.take_inventory(progress=tell):
                    scene.audience.say(str(taken))
        if scene.cancelled:
            return
        scene.did("truth", "what its database says; an inventory reads it, and this reads it again")
        for told in program.read_truth():
            scene.audience.say(str(told))
        scene.did("profile old", "how the archive behaves, also among strangers: encodings, character sets, layout")
        if (profile := program.profile("old")) is not None:
            scene.audience.say(f"{counted(len(profile.values()), 'trait')} on record")


def plan(scene: Scene) -> None:
    """Waves."""
    scene.audience.chapter(
        "Plan",
        "Studies move in waves: a small one first, to learn from. Here the pilot is what the clinic brought; all else "
        "follows. What shall not move is excluded, with a reason: by the settings, or because the database says that "
        "it was deleted or hidden.",
        scene.command("plan"),
    )
    with scene.program() as program:
        if not program.waves():
            program.plan()
        status = program.status()
        for wave in status.waves:
            instances = counted(wave.instances, "instance")
            scene.audience.say(f"{wave.name}: {counted(wave.studies, 'study')}, {instances} (copies counted once)")
        for reason, studies in status.excluded:
            scene.audience.say(f"excluded: {counted(studies, 'study')} ({reason})")


def transfer(scene: Scene) -> None:
    """Both waves, with what is held back."""
    scene.audience.chapter(
        "Transfer",
        "Each study is fetched, stored, read back from the new archive and compared, byte for byte: an "
        "acknowledgement is not proof. A study whose headers contradict others is held back before it is stored: "
        "one patient ID for two people, one patient under two issuers, a series in two studies, an ID that nobody "
        "knows the issuer of. The others go on.",
        scene.command("transfer"),
    )
    with scene.program() as program:
        for wave in program.waves():
            if scene.cancelled:
                return
            with scene.audience.watching() as tell:
                result = program.transfer(wave, progress=tell)
            scene.audience.say(str(result))
