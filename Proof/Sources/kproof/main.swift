import ProofKit

Program.main()
