"""Where a served model comes from: an archive in a container, an image alone, or a package of the Model Registry."""

from __future__ import annotations

from dataclasses import dataclass

from stacks.constructs.function.function_build import ROOT, BuildError
from stacks.constructs.model.model_build import MODEL, Archive, archive_at, sample_archive
from stacks.settings import Settings
from stacks.settings.model import PYTORCH, package_name


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A package, or an image with an archive or without one, or an archive in one of AWS's containers."""

    archive: Archive | None = None
    framework: str = PYTORCH
    """Whose container of AWS's runs the archive where there is no image, by its name in `stacks.settings.model`."""
    image: str | None = None
    """An image in ECR."""
    package_arn: str | None = None
    """A version in the Model Registry."""
    package_data: str | None = None
    """The object in S3 that the package loads."""
    package_image: str | None = None
    """The image in ECR that the package runs."""

    @property
    def version(self) -> str:
        """What results call the model: its archive's digest, or what its package or its image is called."""
        if self.archive is not None:
            return self.archive.version
        if self.package_arn is not None:
            return package_name(self.package_arn)
        assert self.image is not None
        return self.image.partition("@" if "@" in self.image else ":")[2]


def model_source(settings: Settings) -> ModelSource:
    """What the settings name; with none of them given, the sample model in AWS's PyTorch container.

    Raises `BuildError` for an archive that is none.
    """
    if settings.model_package_arn is not None:
        return ModelSource(
            package_arn=settings.model_package_arn,
            package_data=settings.model_package_data,
            package_image=settings.model_package_image,
        )
    if settings.model_image is not None:
        return ModelSource(image=settings.model_image, archive=archive(settings.model_archive, scripted=False))
    framework = settings.model_framework or PYTORCH
    return ModelSource(framework=framework, archive=archive(settings.model_archive or MODEL.name, scripted=True))


def challenger_source(settings: Settings) -> ModelSource | None:
    """The second model, where the settings name one: in the first one's image, or in AWS's container."""
    if settings.challenger is None:
        return None
    image = settings.model_image
    try:
        found = archive(settings.challenger, scripted=image is None)
    except BuildError as error:
        raise BuildError(str(error).replace("model_archive:", "challenger:", 1)) from error
    return ModelSource(image=image, framework=settings.model_framework or PYTORCH, archive=found)


def archive(given: str | None, *, scripted: bool) -> Archive | None:
    """The archive that a setting names. The folder `model/` is the sample's, which has a layout of its own."""
    if given is None:
        return None
    if (ROOT / given).resolve() == MODEL:
        return sample_archive()
    return archive_at(given, scripted=scripted)
