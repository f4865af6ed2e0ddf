"""What the keys inside a checkpoint say: which part of the training a tensor belongs to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from enum import Enum

from torch import Tensor


class Part(Enum):
    """What a tensor belongs to; the value is the reason a report gives for leaving it out."""

    DISCRIMINATOR = "a discriminator"
    GENERATOR = "the generator"
    OPTIMIZER = "optimizer or training state"
    FROZEN = "a frozen feature network"
    COPY = "a moving average, or a copy of a network that stands elsewhere"
    UNKNOWN = "no key names it a discriminator"


# A segment of a dotted name. Strict, for `d1.conv.weight` is a layer and no discriminator.
_DISCRIMINATOR = re.compile(
    r"(net_?)?V?D(_?[A-Z]|_\w+)?|netD\w*|(net_?d|model_?d|disc|discriminator|critic|adversary)(_\w+|\d+)?"
    r"|(?!use_|num_)\w+_(discriminator|critic|disc)|adv_losses|cls_pred_branch|mini_discs"
    r"|m(p|s|r|b)d|ms_?stftd?|mssbcqtd|cqtd|combd|sbd|model_disc"
)
# A key of a nested mapping, where short names are safe.
_DISCRIMINATOR_CONTAINER = re.compile(r"d|d_?[ab]|D\d+|d_(model|net|state_dict)|dis|model:dis|discriminators")
_GENERATOR = re.compile(
    r"(net_?)?G(_?[A-Z]|_\w+)?|netG\w*|(net_?g|model_?g|gen|generator)(_\w+|\d+)?|(?!use_|num_)\w+_generator"
)
_GENERATOR_CONTAINER = re.compile(r"g|g_?[ab]|G\d+|g_(ema|model|net|state_dict)|model:gen|encoder|decoder|generators")
_OPTIMIZER_CONTAINER = re.compile(
    r"(.*[_:])?(optim|optims|optimizers?|opt|sched|schedulers?|sch|scalers?|lr_schedulers|optimizer_states?)([_:].*|\d*)"
    r"|(.*_)?(rng|loops|callbacks)(_.*)?|envelope|treatment",
    re.IGNORECASE,
)
_FROZEN = re.compile(
    r"(\w+_)?(perceptual(_loss)?|lpips\w*|vgg\w*|feature_network|dino\w*|fake_unet|inception\w*|arcface\w*|identity_loss)",
    re.IGNORECASE,
)
_COPY = re.compile(r"(net_?)?D_(aug|cl|ema)|\w+_ema|ema|ema_model")
_MEMBER = re.compile(
    r"^(?P<member>(?:.*?\.)?(?:discriminators|mini_discs|discs|sub_discriminators|heads)\.\d+)\."
    r"|^(?P<scale>(?:.*?\.)?scale_?\d+)[_.]"
)
_NUMBERED = re.compile(r"^(?P<member>(?:layer)?\d+)\.(?P<rest>.+)$")


def part_of(segment: str, *, in_container: bool) -> Part | None:
    """Say what one segment of a key names; None where it names no part of a training.

    `in_container` tells a key of a nested mapping from a segment of a flat dict's dotted name.
    """
    if _COPY.fullmatch(segment):
        return Part.GENERATOR if _GENERATOR.fullmatch(segment) or segment == "g_ema" else Part.COPY
    if _FROZEN.fullmatch(segment):
        return Part.FROZEN
    if in_container and _OPTIMIZER_CONTAINER.fullmatch(segment):
        return Part.OPTIMIZER
    if _DISCRIMINATOR.fullmatch(segment) or (in_container and _DISCRIMINATOR_CONTAINER.fullmatch(segment)):
        return Part.DISCRIMINATOR
    if _GENERATOR.fullmatch(segment) or (in_container and _GENERATOR_CONTAINER.fullmatch(segment)):
        return Part.GENERATOR
    return None


def members_of(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Split the tensors of a discriminator that is made of several: periods, resolutions, scales, heads.

    Recognises numbered lists (`discriminators.0.…`), `scale0_…`, and whole networks of one and the same
    keys and shapes under numbers (`layer0.…`, `layer1.…`, as pix2pixHD saves its scales). What belongs to
    no member stays under the empty name. Fewer than two members: there was nothing to split.
    """
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        match = _MEMBER.match(name)
        member = (match["member"] or match["scale"]) if match else ""
        parts[member][name.removeprefix(member).lstrip("._")] = tensor
    if sum(bool(member) for member in parts) >= 2:
        return dict(parts)
    return _numbered_networks(tensors)


def _numbered_networks(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        match = _NUMBERED.match(name)
        if not match:
            return {}
        parts[match["member"]][match["rest"]] = tensor
    shapes = [{name: tuple(tensor.shape) for name, tensor in part.items()} for part in parts.values()]
    whole = all(sum(len(shape) >= 2 for shape in part.values()) >= 3 for part in shapes)
    if not whole or any(part != shapes[0] or _last_outputs(part) != 1 for part in shapes):
        return {}
    return dict(parts)


def _last_outputs(shapes: Mapping[str, tuple[int, ...]]) -> int:
    matrices = [shape for shape in shapes.values() if len(shape) >= 2]
    return matrices[-1][0]
