# Two commands on a fresh machine: `make run`, `make test`. Each target is a thin line over an npm script.
MANIFESTS := package.json package-lock.json $(wildcard packages/*/package.json)
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# `make chaos`: real processes under faults, checked (test/chaos). SHAPE, MIX, REGIONS, SECONDS_EACH and SEED choose.
.PHONY: run test lint bench sim chaos format clean
run: .stamp-install
	@exec npm run --silent demo -- $(if $(ENGINE),--engine $(ENGINE))
test: .stamp-install
	@npm run --silent test
lint: .stamp-install
	@npm run --silent lint
bench: .stamp-install
	@npm run --silent bench
sim: .stamp-install
	@npm run --silent sim -- $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS))
chaos: .stamp-install
	@npm run --silent chaos -- $(if $(SHAPE),--shape $(SHAPE)) $(if $(MIX),--mix $(MIX)) $(if $(REGIONS),--regions $(REGIONS)) $(if $(SECONDS_EACH),--seconds $(SECONDS_EACH)) $(if $(SEED),--seed $(SEED))
format: .stamp-install
	@npm run --silent format

.stamp-install: $(MANIFESTS)
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer, with npm" >&2; exit 1; }
	@npm ci --loglevel=error
	@sh bin/check-node
	@npm run --silent warm
	@touch $@

clean:
	rm -rf node_modules packages/*/node_modules .stamp-install .meridian
