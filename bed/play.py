"""`make bed` and `make run`: a bed with the chart applied, to play with."""

import sys
from collections.abc import Sequence

from bed import valhalla
from bed.errors import BedError
from bed.life import up
from bed.operator import install
from bed.report import say


def main(*, run: bool, plugins: Sequence[str] = ()) -> int:
    """Start the bed `default` and apply the chart; with `run`, be its operator, with these plugins, until interrupted."""
    try:
        bed = up()
        installation = install(bed, {**valhalla.prepare(bed), "plugins": list(plugins)})
    except BedError as error:
        say(str(error))
        return 1
    if run:
        return installation.run()
    say(f"export KUBECONFIG={bed.kubernetes.kubeconfig}")
    say(f"alias kubectl={bed.kubernetes.kubectl}")
    say("make run                                   # the operator, in another terminal")
    say("kubectl apply -f examples/plain.yaml && kubectl get jobsubmissions -n research -w")
    say("make down                                  # when you are done")
    return 0


if __name__ == "__main__":
    sys.exit(main(run=sys.argv[1:2] == ["run"], plugins=sys.argv[2:]))
