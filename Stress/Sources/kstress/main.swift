import StressKit

Program.main()
