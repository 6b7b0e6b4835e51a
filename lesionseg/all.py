"Everything that a notebook of one's own may want: `from lesionseg.all import *`."
from contextlib import suppress as _suppress

from .core import *
from .data import *
from .files import *
from .transforms import *
from .metrics import *
from .model import *
from .weights import *
from .inference import *
from .training import *
from .runs import *
from .comparison import *
from .plots import *
from .report import *
from .synthetic import *
from .masks import *
from .page import *
from .convert import *
from .release import *
from .widgets import *
from .exercises import *

with _suppress(ImportError): # where ipywidgets is missing
    from .editor import *
