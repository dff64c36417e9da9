"""The template as a document: read, with its binaries found, and uploaded as AWS would be sent it."""

import copy
import io
import json
import pathlib
import zipfile

import yaml

from emulator import Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARTIFACTS = "overglass-e2e-artifacts"


def read(functions):
    """The template, and the binary of each of its functions from the folder `functions`."""
    template = load(ROOT / "template.yaml")
    return template, binaries_of(template, pathlib.Path(functions))


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, which become their long ones."""


def construct_intrinsic(loader, tag, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


Loader.add_multi_constructor("!", construct_intrinsic)
# A version such as 2012-10-17 is a text and not a date.
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(path):
    with open(path) as file:
        return yaml.load(file, Loader)


def binaries_of(template, functions):
    """The bootstrap of each function of the template, by the function's logical id."""
    binaries, missing = {}, []
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            binary = pathlib.PurePath(resource["Properties"]["CodeUri"]).name
            binaries[name] = functions / binary / "bootstrap"
            if not binaries[name].is_file():
                missing.append(str(binaries[name]))
    if missing:
        raise Failure(f"no binary at {', '.join(missing)}; build the functions first")
    return binaries


def package(s3, endpoint, template, binaries, folder=ROOT, key="template"):
    """Uploads a template with its code and nested templates; returns its URL."""
    template = copy.deepcopy(template)
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::CloudFormation::Stack":
            path = folder / properties["TemplateURL"]
            properties["TemplateURL"] = package(
                s3, endpoint, load(path), {}, path.parent, f"{key}-{name}"
            )
        elif name in binaries:
            code = f"code/{name}.zip"
            s3.put_object(Bucket=ARTIFACTS, Key=code, Body=archive(binaries[name]))
            properties["CodeUri"] = {"Bucket": ARTIFACTS, "Key": code}
    s3.put_object(Bucket=ARTIFACTS, Key=f"{key}.json", Body=json.dumps(template))
    return f"{endpoint}/{ARTIFACTS}/{key}.json"


def archive(binary):
    packed = io.BytesIO()
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o755 << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr(entry, binary.read_bytes(), compresslevel=1)
    return packed.getvalue()
