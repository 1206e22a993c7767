"""`python -m minidl exercises`."""

import argparse
from pathlib import Path

from .catalogue import EXERCISES
from .folder import FOLDER, check, exercise_of, hint, path_of, solution, start
from .judge import DONE, NOT_BEGUN, WRONG, Result, judged

MARKS = {DONE: "done", WRONG: "wrong", NOT_BEGUN: "not begun"}


def main(arguments=None):
    """The command line; returns the number that the process ends with: 1 if what was checked is not right."""
    options = _parser().parse_args(arguments)
    folder = Path(options.folder)
    if folder.exists() and not folder.is_dir():
        print(f"{folder} is a file: expected a folder")
        return 2
    try:
        return options.run(options, folder)
    except (ValueError, OSError) as error:
        print(error)
        return 2


def _parser():
    parser = argparse.ArgumentParser("python -m minidl exercises", description="Backward rules to write, judged by gradcheck.")
    parser.set_defaults(run=_list, folder=FOLDER)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, run, what in (
        ("list", _list, "how far you are (also without any command)"),
        ("start", _start, "write the files"),
        ("check", _check, "judge one exercise, or all that you have begun"),
        ("hint", _hint, "a hint"),
        ("solution", _solution, "the solution, with its reason"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        command.set_defaults(run=run)
        if name in ("check", "hint", "solution"):
            command.add_argument("name", nargs="?" if name == "check" else None, help="of the exercise, such as add")
        if name == "hint":
            command.add_argument("--level", type=int, default=1, help="1 is the idea, 2 the formula, 3 nearly the line")
        if name in ("list", "start", "check"):
            command.add_argument("--folder", default=FOLDER, help="where the files are (default: %(default)s)")
    return parser


def _states(folder):
    for exercise in EXERCISES:
        path = path_of(exercise.name, folder)
        yield exercise, path, judged(exercise, path) if path.exists() else Result(exercise.name, NOT_BEGUN)


def _list(options, folder):
    done = 0
    for i, (exercise, _, result) in enumerate(_states(folder), 1):
        print(f"{i:>3}  {MARKS[result.state]:<10} {exercise.name:<14} {exercise.title}")
        done += result.state == DONE
    print(f"{done} of {len(EXERCISES)} done")
    if not folder.exists():
        print("To begin: python -m minidl exercises start")
    elif done < len(EXERCISES):
        print("Write the body of backward in a file, then: python -m minidl exercises check NAME")
    return 0


def _start(options, folder):
    written = start(folder)
    kept = len(EXERCISES) - len(written)
    print(f"{len(written)} files written into {folder}" + (f"; {kept} were there and are as they were" if kept else ""))
    first = path_of(EXERCISES[0].name, folder)
    print(f"Begin with {first}: write the body of backward, then: python -m minidl exercises check {EXERCISES[0].name}")
    return 0


def _check(options, folder):
    if options.name is None:
        results = [result for _, _, result in _states(folder) if result.state != NOT_BEGUN]
        if not results:
            print("no exercise is begun yet: see python -m minidl exercises")
    else:
        exercise_of(options.name)
        path = path_of(options.name, folder)
        if not path.exists():
            print(f"there is no {path} yet: python -m minidl exercises start writes it")
            return 2
        results = [check(path, options.name)]
    for result in results:
        print(result)
        if result.state == WRONG:
            print(f"a hint: python -m minidl exercises hint {result.name}\n")
    return int(not all(result.state == DONE for result in results))


def _hint(options, folder):
    print(hint(options.name, options.level))
    if options.level < len(exercise_of(options.name).hints):
        print(f"more: python -m minidl exercises hint {options.name} --level {options.level + 1}")
    return 0


def _solution(options, folder):
    print(solution(options.name))
    return 0
