"""Run kdbd as a module."""

from kdbd.main import main

raise SystemExit(main())
