"""``python -m se_mm COMMAND ...`` is ``se-mm COMMAND ...``."""

from .cli import se_mm

if __name__ == '__main__':
    se_mm()
