"Installs lesionseg. Everything it says about the project is read from settings.ini."
import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
ini = ConfigParser(delimiters=["="])
ini.read(here / "settings.ini", encoding="utf-8")
cfg = ini["DEFAULT"]

def long_description():
    "README, with links and images that hold on a package index too."
    text = (here / "README.md").read_text(encoding="utf-8")
    page = f"{cfg['git_url']}/blob/{cfg['branch']}/"
    raw = page.replace("github.com", "raw.githubusercontent.com").replace("/blob/", "/")
    text = re.sub(r"(!\[[^]]*\]\()(?!https?:)", rf"\g<1>{raw}", text)
    return re.sub(r"(?<!!)(\[[^]]*\]\()(?!https?:|#)", rf"\g<1>{page}", text)


extras = {name: cfg[f"{name}_requirements"].split()
          for name in ("notebooks", "onnx", "heic", "dev", "docs", "benchmark")}
extras["dev"] += extras["notebooks"] + extras["onnx"]  # `[dev]` alone runs all notebooks and tests

pythons = [f"Programming Language :: Python :: 3.{minor}" for minor in (10, 11, 12, 13)]
setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=long_description(),
    long_description_content_type="text/markdown",
    keywords=cfg["keywords"],
    author=cfg["author"],
    author_email=cfg["author_email"],
    url=cfg["git_url"],
    project_urls={
        "Documentation": f"{cfg['doc_host']}{cfg['doc_baseurl']}",
        "Source": cfg["git_url"],
        "Changes": f"{cfg['git_url']}/blob/{cfg['branch']}/CHANGELOG.md",
    },
    license="MIT",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Framework :: Jupyter",
        "Operating System :: OS Independent",
        "Topic :: Scientific/Engineering :: Image Processing",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
        "Typing :: Typed",
        "Programming Language :: Python :: 3 :: Only",
        *pythons,
    ],
    packages=find_packages(include=[cfg["lib_name"], f"{cfg['lib_name']}.*"]),
    package_data={cfg["lib_name"]: ["py.typed", "weights/*", "static/*"]},
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [f"{cfg['lib_name']}={cfg['lib_name']}._modidx:d"],
    },
    zip_safe=False,
)
