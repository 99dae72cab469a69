"""A process with an environment's modules imported and no project: services start as copies of it.

Services that share their packages would each import the same ones. A zygote (``process``) has
imported those that a start imports (``packages``). A fork or a restore of it enters its bento
(``relocation``), imports the project, constructs, warms up and serves, as in a plain start. It
holds no project's code, no model and no project's environment; which variables its modules have
read already is known (``variables``).
"""
