"""CLIP as it comes: image against class name, without training (Radford et al., ICML 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zslbench import Candidates, Method, MethodInfo, Scorer, TrainingData
from zslbench_methods.common.joint import expect_one_space
from zslbench_methods.common.linear import cosine


class CLIP(Method):
    """The cosine of an image's embedding and that of a text naming the class.

    Source: section 3.1 of the publication. Features and semantics must come from the two towers of one model,
    CLIP or one of its kin (RemoteCLIP, GeoRSCLIP, ...); prompts and their averaging were settled when the text was
    embedded. Nothing is learned from the training images.

    "Zero-shot" means less here than elsewhere: the pre-training may have shown images with the names of the
    unseen classes. The leaderboard says so in the row's needs; compare it with methods on the same features.

    Checked:

    - formula: the cosine, by hand (test_clip.py)
    - data: accuracy over the 19 classes of WHU-RS19 is what the models' zero-shot classification has with released
      embeddings (test_clip.py, where they are at hand)
    """

    info = MethodInfo(
        name="clip",
        title="CLIP (no training)",
        family="foundation",
        citation="""@inproceedings{radford2021clip,
  title     = {Learning Transferable Visual Models From Natural Language Supervision},
  author    = {Radford, Alec and Kim, Jong Wook and Hallacy, Chris and Ramesh, Aditya and Goh, Gabriel and
               Agarwal, Sandhini and Sastry, Girish and Askell, Amanda and Mishkin, Pamela and Clark, Jack and
               Krueger, Gretchen and Sutskever, Ilya},
  booktitle = {Proceedings of the 38th International Conference on Machine Learning},
  pages     = {8748--8763},
  year      = {2021},
  eprint    = {2103.00020}, archiveprefix = {arXiv},
}""",
        needs_joint_space=True,
        pretrained_on_names=True,
    )

    @dataclass(frozen=True)
    class Config:
        """Nothing to choose."""

    config: Config

    def fit(self, train: TrainingData) -> None:
        """Check that images and texts can be compared; there is nothing to learn."""
        expect_one_space(self.info.name, train)

    def scorers(self, candidates: Candidates) -> Iterator[Scorer]:
        """Yield the cosine of an image and each candidate's text."""
        yield lambda features: cosine(features, candidates.semantics)
