"""The file formats, one class each, in the order in which they are asked whether a file is theirs."""

from __future__ import annotations

from spectral_doctor.checkpoints.formats import closed
from spectral_doctor.checkpoints.formats.base import Closed, Contents, Format, Tree
from spectral_doctor.checkpoints.formats.distributed import DistributedFolder
from spectral_doctor.checkpoints.formats.flax_msgpack import DamagedFlax, FlaxMsgpack
from spectral_doctor.checkpoints.formats.hdf5 import DamagedHdf5, Hdf5
from spectral_doctor.checkpoints.formats.keras import DamagedKeras, KerasArchive
from spectral_doctor.checkpoints.formats.npz import Npz
from spectral_doctor.checkpoints.formats.onnx import Onnx
from spectral_doctor.checkpoints.formats.plain_pickle import PlainPickle
from spectral_doctor.checkpoints.formats.safetensors import Safetensors
from spectral_doctor.checkpoints.formats.sharded import ShardIndex
from spectral_doctor.checkpoints.formats.tensorflow import DamagedTensorFlow, TensorFlowCheckpoint, TensorFlowData
from spectral_doctor.checkpoints.formats.torch_legacy import TorchLegacy, TorchTar
from spectral_doctor.checkpoints.formats.torch_zip import TorchZip
from spectral_doctor.checkpoints.stores import Source

__all__ = ["FORMATS", "Closed", "Contents", "Format", "Tree", "format_of"]


def format_of(source: Source) -> Format:
    """The format of a file, told by its content. Raises `UnreadableCheckpoint` where the file cannot be opened."""
    return next(item for item in FORMATS if item.accept(source))


FORMATS: tuple[Format, ...] = (
    closed.Empty(),
    closed.LfsPointer(),
    closed.TornZip(),
    closed.TorchPackage(),
    closed.TorchScript(),
    TorchZip(),
    Npz(),
    KerasArchive(),
    DamagedKeras(),
    closed.OtherZip(),
    Hdf5(),
    DamagedHdf5(),
    TorchLegacy(),
    TorchTar(),
    closed.Tar(),
    Safetensors(),
    DistributedFolder(),
    PlainPickle(),
    closed.Compressed(),
    closed.Picture(),
    ShardIndex(format_of),
    closed.History(),
    closed.Json(),
    TensorFlowCheckpoint(),
    DamagedTensorFlow(),
    TensorFlowData(),
    FlaxMsgpack(),
    Onnx(),
    closed.Text(),
    DamagedFlax(),
    closed.Unknown(),
)
