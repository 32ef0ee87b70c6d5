"""How numbers are shown on a page of text or HTML; nothing here knows of a model."""
