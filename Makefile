# The commands of this project; `make help` lists them. Each is a script of Scripts/ or one tool, so that it can be
# read and run by itself. Everything that is built goes to .build*/ folders, which `make clean` removes.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

SECONDS ?= 60
STRESS := swift run --package-path Stress -c release kstress
BENCH_BUILD := swift build --package-path Benchmarks -c release
KBENCH := Benchmarks/.build/release/kbench

##@ The two that matter
.PHONY: stress test
stress: ## Run many threads against the allocator for a minute, every block verified (SECONDS=60, ARGS=…)
	@Scripts/bootstrap build
	@$(STRESS) run --seconds $(SECONDS) $(ARGS)

test: ## Run every test and every check
	@Scripts/bootstrap build test
	@Scripts/test $(STEPS)

##@ Slower tests
.PHONY: test-tsan test-asan test-valgrind model proof fuzz
test-tsan: ## Run the tests under ThreadSanitizer, which must then find seeded faults
	@Scripts/bootstrap build
	@Scripts/test-sanitizer thread

test-asan: ## Run the tests under AddressSanitizer and LeakSanitizer, the same
	@Scripts/bootstrap build
	@Scripts/test-sanitizer address

test-valgrind: ## Run the tests in thread mode under valgrind
	@Scripts/bootstrap build test
	@Scripts/test-valgrind

##@ The malloc replacement
.PHONY: malloc test-malloc
malloc: ## Build build/libkalloc.so, libkalloc.a and libkalloc-hardened.so: LD_PRELOAD=build/libkalloc.so PROGRAM
	@Scripts/bootstrap build
	@Malloc/link build
	@Malloc/link --hardened build

test-malloc: malloc ## Run real programs on it, in all modes and hardened (PROGRAMS="git redis" for some; 20 minutes)
	@Scripts/bootstrap programs
	@Malloc/test all $(PROGRAMS)

model: ## Explore the interleavings of the lock-free core, and look for each seeded fault (about 7 minutes)
	@Scripts/bootstrap build
	@Scripts/model

proof: ## Stop threads for good, abort sequences in storms, signals and fork beside other allocators (7 minutes)
	@Scripts/bootstrap build test bench
	@Malloc/link build
	@swift build --package-path Proof -c release
	@Proof/.build/release/kproof all $(ARGS)

fuzz: ## Run programs that libFuzzer makes up beside a naive oracle (SECONDS=60, ARGS=…)
	@Scripts/bootstrap build
	@Fuzz/fuzz $(SECONDS) $(ARGS)

##@ Speed
.PHONY: bench bench-quick bench-build bench-frontends
bench: bench-build ## Measure KAlloc beside its peers in one run (ARGS="--json FILE --html FILE")
	@$(KBENCH) $(ARGS)

bench-quick: bench-build ## The same for the targets only, in two minutes, as Markdown
	@$(KBENCH) --quick $(ARGS)

bench-build:
	@Scripts/bootstrap build
	@$(BENCH_BUILD)
	@swift build --package-path Stress -c release --product kstress

bench-frontends: ## Measure the ways to keep a CPU's free objects
	@Scripts/bootstrap build
	@$(BENCH_BUILD) --product kfrontends
	@Benchmarks/.build/release/kfrontends

##@ Tools
.PHONY: record lint format
record: ## Record the allocations of a program to a trace: make record CMD="git log" [OUT=FILE]
	@[[ -n '$(subst ','\'',$(CMD))' ]] || { echo 'record: say what to run: make record CMD="git log"' >&2; exit 64; }
	@Scripts/bootstrap build
	@CC=clang Stress/Recorder/record $(if $(OUT),--output '$(OUT)') -- $(CMD)

lint: ## Check the form of Swift sources and scripts
	@Scripts/lint

format: ## Bring Swift sources into that form
	@Scripts/lint --fix

##@ Upkeep
.PHONY: bootstrap bootstrap-bench clean help
bootstrap: ## Install the system packages that building and testing need
	@Scripts/bootstrap build test

bootstrap-bench: ## Install the allocators that the benchmarks compare with, and the programs that they measure
	@Scripts/bootstrap build bench programs

clean: ## Remove everything that was built
	rm -rf build .build* Stress/.build* Benchmarks/.build* Malloc/.build* Model/.build* Proof/.build* Fuzz/.build*

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
