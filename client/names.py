"""The ids of environments that a server with every simulator offers, beyond those that Gymnasium itself registers."""

_SIMULATORS = (
    "osim/Arm2D-v0", "osim/L2M2019-v0", "osim/Prosthetics-v0", "osim/Run-v0", "rewards/CarRace-v0",
    "runt/Offloading-v0", "runt/OffloadingDiscrete-v0",
)  # fmt: skip
_ATARI = (  # games that also have ids of versions 0 and 4
    "Adventure", "AirRaid", "Alien", "Amidar", "Assault", "Asterix", "Asteroids", "Atlantis", "BankHeist",
    "BattleZone", "BeamRider", "Berzerk", "Bowling", "Boxing", "Breakout", "Carnival", "Centipede",
    "ChopperCommand", "CrazyClimber", "Defender", "DemonAttack", "DoubleDunk", "ElevatorAction", "Enduro",
    "FishingDerby", "Freeway", "Frostbite", "Gopher", "Gravitar", "Hero", "IceHockey", "Jamesbond", "JourneyEscape",
    "Kangaroo", "Krull", "KungFuMaster", "MontezumaRevenge", "MsPacman", "NameThisGame", "Phoenix", "Pitfall",
    "Pong", "Pooyan", "PrivateEye", "Qbert", "Riverraid", "RoadRunner", "Robotank", "Seaquest", "Skiing", "Solaris",
    "SpaceInvaders", "StarGunner", "Tennis", "TimePilot", "Tutankham", "UpNDown", "Venture", "VideoPinball",
    "WizardOfWor", "YarsRevenge", "Zaxxon",
)  # fmt: skip
_NEWER_ATARI = (
    "Atlantis2", "Backgammon", "BasicMath", "Blackjack", "Casino", "Crossbow", "Darkchambers", "DonkeyKong",
    "Earthworld", "Entombed", "Et", "FlagCapture", "Frogger", "Galaxian", "Hangman", "HauntedHouse",
    "HumanCannonball", "Kaboom", "KeystoneKapers", "KingKong", "Klax", "Koolaid", "LaserGates", "LostLuggage",
    "MarioBros", "MiniatureGolf", "MrDo", "Othello", "Pacman", "Pitfall2", "SirLancelot", "SpaceWar", "Superman",
    "Surround", "Tetris", "TicTacToe3D", "Trondead", "Turmoil", "VideoCheckers", "VideoChess", "VideoCube",
    "WordZapper",
)  # fmt: skip

IDS = (
    *_SIMULATORS,
    *(f"ALE/{game}-v5" for game in (*_ATARI, *_NEWER_ATARI)),
    *(f"{game}{suffix}-v{version}" for game in _ATARI for suffix in ("", "NoFrameskip") for version in (0, 4)),
)
