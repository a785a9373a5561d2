"""The cheapest fleet of bins of several types, with a proof."""
