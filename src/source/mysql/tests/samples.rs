//! Dumps as the programs write them, and by hand.

/// By `mariadb-dump` 10.11: every kind of object, with names and rows that are hard on whoever reads the dump.
pub const MARIADB: &str = include_str!("mariadb.sql");

/// As `mysqldump` 8.0 writes them: other headers, rows of one statement on one line, the marker without a date.
pub const MYSQL: &str = r"-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
--
-- Host: localhost    Database: shop
-- ------------------------------------------------------
-- Server version	8.0.36

/*!50503 SET NAMES utf8mb4 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;

--
-- Table structure for table `a`
--

DROP TABLE IF EXISTS `a`;
/*!50503 SET character_set_client = utf8mb4 */;
CREATE TABLE `a` (
  `id` int NOT NULL COMMENT 'it''s; -- no',
  `v` varchar(9) DEFAULT ')',
  PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;

--
-- Dumping data for table `a`
--

LOCK TABLES `a` WRITE;
/*!40000 ALTER TABLE `a` DISABLE KEYS */;
INSERT INTO `a` VALUES (1,'x\'),(y'),(2,NULL);
INSERT INTO `a` VALUES (3,'\\'),(4,'\n--\n-- Dumping data for table `b`\n--\n');
/*!40000 ALTER TABLE `a` ENABLE KEYS */;
UNLOCK TABLES;
/*!50003 SET @saved_sql_mode       = @@sql_mode */ ;
/*!50003 SET sql_mode              = 'ONLY_FULL_GROUP_BY,NO_BACKSLASH_ESCAPES' */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`root`@`%`*/ /*!50003 TRIGGER `t` BEFORE INSERT ON `a` FOR EACH ROW begin set @x='\'; set @y=';;'; end */;;
DELIMITER ;
/*!50003 SET sql_mode              = @saved_sql_mode */ ;

--
-- Table structure for table `b`
--

CREATE TABLE `b` (
  `id` int
);

--
-- Dumping data for table `b`
--

LOCK TABLES `b` WRITE;
UNLOCK TABLES;

--
-- Dumping routines for database 'shop'
--
DELIMITER ;;
CREATE DEFINER=`root`@`%` PROCEDURE `p`()
begin
-- don't
select 1; end ;;
DELIMITER ;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;

-- Dump completed
";
