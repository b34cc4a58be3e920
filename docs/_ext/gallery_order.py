"""The order of the gallery: that of people's questions, from the first look to the tools."""

ORDER = [
    "plot_probe", "plot_dcgan",
    "plot_photographs", "plot_bands", "plot_spectrograms", "plot_table", "plot_outliers",
    "plot_feature_matching", "plot_triplegan", "plot_catgan", "plot_acgan", "plot_infogan",
    "plot_bigan", "plot_vaegan", "plot_projection", "plot_latent", "plot_inside",
    "plot_mgan", "plot_dann", "plot_disentangled",
]  # fmt: skip


class GalleryOrder:
    """A sort key. A new example that is not in the list comes last, by its name."""

    def __init__(self, src_dir):
        self.src_dir = src_dir

    def __call__(self, filename):
        name = filename.removesuffix(".py")
        return (ORDER.index(name) if name in ORDER else len(ORDER), name)

    def __repr__(self):
        return "GalleryOrder"
